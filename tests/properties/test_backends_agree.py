"""Random specs, from their text to values: every backend agrees with the reference, and so do gradients."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import assume, given, settings

from netspec import reference
from netspec.graph import Graph, Node, Scope
from netspec.graph.scopes import parent_of
from netspec.lowering import Backend, find_backend
from netspec.ops import OPS
from netspec.ops.base import Array, Weights
from netspec.testing.drawn.failing import show
from netspec.testing.drawn.strategies import DrawnSpec, specs
from netspec.types import DType
from netspec.verify.cases import check_weights_of
from netspec.verify.compare import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    difference_of_largest,
    require_close,
)
from netspec.weights import stream
from tests.properties.conftest import LoadText

# Expressions of a block's input, its parameters, a stack, and the inputs of a layer, as they appear in specs.
EXPRESSIONS = (".channels}", "${kept}", "${given}", "${index ", "${channels ", "${shape[-1] ")
BATCH = 3


def inputs_of(graph: Graph) -> dict[str, Array]:
    """Signed float32 values, none of them 0: at a tie of a maximum there is more than one derivative."""
    return {
        value.name: stream(0, "property", value.name).standard_normal(value.type.concrete(BATCH), np.float32)
        * np.float32(10.0)
        for value in graph.inputs
    }


def with_noise(graph: Graph, weights: Weights, inputs: Mapping[str, Array], dtype: DType) -> dict[str, Array]:
    """The reference, with every value and input changed by a few roundings of its largest element.

    Sums in another order change the output of an op, or a value within it, by as much.
    """
    step = 4 * np.finfo(dtype.numpy).eps

    def moved(name: str, value: Array) -> Array:
        signs = stream(0, "noise", name).choice([-1.0, 1.0], value.shape)
        return value + signs * step * np.abs(value).max()

    values = {name: moved(name, array.astype(np.float64)) for name, array in inputs.items()}
    for node in graph.nodes:
        own = {name: weights[f"{node.name}.{name}"].astype(np.float64) for name in node.weights}
        value = node.op.reference(own, *(values[name] for name in node.inputs))
        value = np.broadcast_to(value, node.type.concrete(BATCH))
        values[node.name] = moved(node.name, value)
    return {name: values[name] for name in graph.outputs}


def require_comparable(
    expected: Mapping[str, Array], graph: Graph, weights: Weights, inputs: Mapping[str, Array], dtype: DType
) -> None:
    """Reject a network that amplifies rounding beyond the tolerance.

    A normalization of values that hardly differ, or a maximum of a difference, can: no two programs would agree.
    """
    noisy = with_noise(graph, weights, inputs, dtype)
    for name, value in expected.items():
        assume(np.isfinite(value).all() and np.isfinite(noisy[name]).all())
        assume(difference_of_largest(noisy[name], value) < FORWARD_TOLERANCE[dtype])


def expected_of(graph: Graph, weights: Weights, inputs: Mapping[str, Array], dtype: DType) -> dict[str, Array]:
    """Return the values of the reference, for a network that can be compared."""
    expected = reference.evaluate(graph, weights, inputs)
    require_comparable(expected, graph, weights, inputs, dtype)
    return expected


def check_forward(drawn: DrawnSpec, load_text: LoadText, target: Backend, dtype: DType) -> None:
    check_each(drawn, load_text, {dtype: [target]})


def check_each(drawn: DrawnSpec, load_text: LoadText, targets: Mapping[DType, Sequence[Backend]]) -> None:
    """Compare backends, by dtype, with the reference.

    In the order of dtypes: a network that amplifies rounding too far for one has been compared in those before it.
    """
    show(drawn)
    graph = load_text(drawn.text)
    weights, inputs = check_weights_of(graph), inputs_of(graph)
    expected = reference.evaluate(graph, weights, inputs)
    for dtype, backends in targets.items():
        require_comparable(expected, graph, weights, inputs, dtype)
        for target in backends:
            actual = target.load(target.lower(graph.astype(dtype)), weights).forward(inputs)
            assert list(actual) == list(graph.outputs)
            for name, value in expected.items():
                require_close(actual[name], value, FORWARD_TOLERANCE[dtype], f"{target.name} {dtype}: {name}", dtype)


@settings(max_examples=100)
@given(drawn=specs())
def test_torch_and_onnx_forward(drawn: DrawnSpec, load_text: LoadText) -> None:
    torch, onnx = find_backend("torch"), find_backend("onnx")
    check_each(drawn, load_text, {DType.FLOAT64: [torch], DType.FLOAT32: [torch, onnx]})


@settings(max_examples=25)
@given(drawn=specs())
def test_keras_forward(drawn: DrawnSpec, load_text: LoadText) -> None:
    check_forward(drawn, load_text, find_backend("keras"), DType.FLOAT64)


@settings(max_examples=15)
@given(drawn=specs(most_layers=6))
def test_gradients_of_torch_and_keras(drawn: DrawnSpec, load_text: LoadText) -> None:
    show(drawn)
    graph = load_text(drawn.text).astype(DType.FLOAT64)
    weights, inputs = check_weights_of(graph), inputs_of(graph)
    expected_of(graph, weights, inputs, DType.FLOAT32)  # in float64 there is room then for derivatives too
    cotangents = {
        name: stream(0, "cotangent", name).standard_normal(graph.type_of(name).concrete(BATCH))
        for name in graph.outputs
    }
    torch, keras = (
        backend.load(backend.lower(graph), weights).gradients(inputs, cotangents)
        for backend in (find_backend("torch"), find_backend("keras"))
    )
    ours, theirs = keras.weights | keras.inputs, torch.weights | torch.inputs
    assert set(ours) == set(theirs)
    floor = FORWARD_TOLERANCE[DType.FLOAT64] * max(map(norm, (*theirs.values(), *cotangents.values())))
    for name, value in theirs.items():
        # A bias before a normalization has a derivative of 0: of such a one, what rounding leaves of its terms is seen.
        error, allowed = norm(ours[name] - value), max(GRADIENT_TOLERANCE * norm(value), floor)
        assert error <= allowed, f"{name}: differs by {error:.1e}, expected at most {allowed:.1e}"


def norm(array: Array) -> float:
    return float(np.linalg.norm(array))


def test_specs_have_branches_blocks_and_every_op(load_text: LoadText) -> None:
    kinds: set[str] = set()
    merges: list[Node] = []
    scopes: list[Scope] = []
    features: Counter[str] = Counter()

    @settings(max_examples=600)
    @given(drawn=specs())
    def collect(drawn: DrawnSpec) -> None:
        kinds.update(node.op.kind for node in drawn.graph.nodes)
        merges.extend(node for node in drawn.graph.nodes if len(set(node.inputs)) > 1)
        scopes.extend(drawn.graph.scopes)
        uses = [layer for layer in drawn.document["layers"].values() if "block" in layer]
        blocks = drawn.document.get("blocks", {}).values()
        features.update(key for use in uses for key in {"repeat", "first", "last", "given", "kept"} & set(use))
        features.update(["used twice"] * (len({use["block"] for use in uses}) < len(uses)))
        features.update(["several outputs"] * any(len(block["outputs"]) > 1 for block in blocks))
        text = drawn.text
        features.update(word for word in EXPRESSIONS if word in text)

    collect()
    assert kinds == set(OPS)
    assert len(merges) > 50
    assert sum(scope.is_stack for scope in scopes) > 20
    assert sum(len(scope.inputs) > 1 for scope in scopes) > 20
    assert sum("part_" in parent_of(scope.path) for scope in scopes) > 20
    keys = {"repeat", "first", "last", "given", "kept", "used twice", "several outputs"}
    assert set(features) == keys | set(EXPRESSIONS)
