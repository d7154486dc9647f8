"""The rules for curvature, compared with the squared Jacobian of each op's NumPy meaning, by central differences."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from netspec.ops import OPS, Op
from netspec.ops.base import Array, Curvature
from netspec.testing.cases import CORNERS, WEIGHT, Corner, SampleCase, sample_cases

STEP, TOLERANCE = 1e-5, 1e-7
WITH_RULE = [kind for kind in OPS if OPS[kind].has_curvature()]
WITHOUT = {
    "attention": ["scaled_dot_product_attention", "multi_head_attention", "relative_position_bias", "region_mask"],
    "a norm": ["batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalize"],
    "a distribution": ["softmax"],
}


def test_every_op_has_a_rule_but_these() -> None:
    assert set(OPS) - set(WITH_RULE) == {kind for kinds in WITHOUT.values() for kind in kinds}


def squared(f: Callable[[Array], Array], x: Array, h: Array, step: float) -> Array:
    """Σ_i (∂f_i/∂x_j)² h_i for each element of an array that f reads."""
    found = np.empty(x.size)
    for j in range(x.size):
        moves = (np.eye(1, x.size, j) * each for each in (step, -step))
        ahead, behind = (f(x + move.reshape(x.shape)) for move in moves)
        found[j] = (((ahead - behind) / (2 * step)) ** 2 * h).sum()
    return found.reshape(x.shape)


def check(case: SampleCase, op: Op) -> None:
    """Compare the rule of an op with its own reference, at a sample of it."""
    weights = {n.partition(".")[2]: a.astype(np.float64) for n, a in case.weights().items()}
    inputs = [a.astype(np.float64) for a in case.inputs(batch=2, zeros=False).values()][: len(case.node.inputs)]
    output = op.reference(weights, *inputs)
    h = np.random.default_rng(0).exponential(1.0, (2, *output.shape[1:]))
    result = op.curvature(weights, inputs, np.broadcast_to(output, h.shape), h)
    trained = {name for name, weight in case.node.weights.items() if weight.trainable}
    assert result.weights.keys() == trained
    for name in trained:
        expected = squared(lambda w, n=name: op.reference({**weights, n: w}, *inputs), weights[name], h, STEP)
        require(result.weights[name], expected, f"{case}: {name}")
    assert len(result.inputs) == len(inputs)
    for position, (x, actual) in enumerate(zip(inputs, result.inputs, strict=True)):
        for sample in range(2):
            rest = [each[sample : sample + 1] for each in inputs]

            def f(moved: Array, rest: list[Array] = rest, position: int = position) -> Array:
                return op.reference(weights, *rest[:position], moved, *rest[position + 1 :])

            one = slice(sample, sample + 1)
            expected = squared(f, x[one], h[one], STEP * case.sample.scale)
            require(actual[one], expected, f"{case}: input {position}")


def require(actual: Array, expected: Array, label: str) -> None:
    assert actual.shape == expected.shape, label
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(expected.max(), 1e-12), err_msg=label)


@pytest.mark.parametrize("kind", WITH_RULE)
def test_it_is_the_squared_jacobian(kind: str) -> None:
    for case in sample_cases(OPS[kind]):
        check(case, case.node.op)


@pytest.mark.parametrize("corner", [c for c in CORNERS if c.op.has_curvature()], ids=str)
def test_it_chooses_the_subgradient_of_the_backends(corner: Corner) -> None:
    least, _ = corner.op.inputs
    case = SampleCase.of(
        next(iter(sample_cases(type(corner.op)))).sample._replace(
            op=corner.op, inputs=((len(corner.x),),) * least, domains=()
        )
    )
    weights = {name: np.full(weight.shape, WEIGHT) for name, weight in case.node.weights.items()}
    inputs = [np.array([corner.x])] * least
    op = case.node.op
    with np.errstate(divide="ignore"):
        output = op.reference(weights, *inputs)
        result = op.curvature(weights, inputs, output, np.ones(output.shape))
    for found in result.inputs:
        np.testing.assert_allclose(found, [np.square(corner.slopes)], rtol=1e-9)


Rule = Callable[..., Curvature]


def unsquared(rule: Rule) -> Rule:
    """The derivative in place of its square."""

    def wrong(op: Op, weights: Mapping[str, Array], inputs: Any, output: Array, h: Array) -> Curvature:
        right = rule(op, {name: np.sqrt(np.abs(w)) for name, w in weights.items()}, inputs, output, h)
        return Curvature(right.inputs, right.weights)

    return wrong


def of_the_mean(rule: Rule) -> Rule:
    """Over samples, the mean in place of the sum."""

    def wrong(op: Op, weights: Mapping[str, Array], inputs: Any, output: Array, h: Array) -> Curvature:
        right = rule(op, weights, inputs, output, h)
        return Curvature(right.inputs, {name: w / len(h) for name, w in right.weights.items()})

    return wrong


def mirrored(rule: Rule) -> Rule:
    """Elements taken from the other end."""

    def wrong(op: Op, weights: Mapping[str, Array], inputs: Any, output: Array, h: Array) -> Curvature:
        right = rule(op, weights, inputs, output, h)
        return Curvature(tuple(x[..., ::-1] for x in right.inputs), right.weights)

    return wrong


def of_signed_inputs(rule: Rule) -> Rule:
    """Inputs that were not squared."""

    def wrong(op: Op, weights: Mapping[str, Array], inputs: Any, output: Array, h: Array) -> Curvature:
        return rule(op, weights, [np.sqrt(np.abs(x)) for x in inputs], output, h)

    return wrong


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        *((kind, unsquared) for kind in ("conv2d", "dense", "conv_transpose2d", "layer_scale", "prelu")),
        *((kind, of_the_mean) for kind in ("conv2d", "dense", "conv_transpose2d", "parameter", "layer_scale", "prelu")),
        *((kind, mirrored) for kind in ("slice", "pad", "roll", "concat", "max_pool2d", "avg_pool2d", "resize", "add")),
        *((kind, of_signed_inputs) for kind in ("matmul", "multiply", "divide", "power", "dense", "conv2d", "tanh")),
    ],
)
def test_a_wrong_rule_is_caught(kind: str, fault: Callable[[Rule], Rule], monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPS[kind]
    monkeypatch.setattr(op, "curvature", fault(op.curvature))
    with pytest.raises(AssertionError):
        test_it_is_the_squared_jacobian(kind)
