"""The rules by which ops are drawn for random specs: the inputs that an op takes, its attributes, its frequency."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netspec import ops
from netspec.ops import Op
from netspec.testing.drawn.map_rules import MAP_RULES
from netspec.testing.drawn.rule import ANY, Attributes, Draw, Rule, divisors, of
from netspec.types import TensorType

MERGES = frozenset(
    {
        *("add", "subtract", "multiply", "divide", "maximum", "minimum", "concat"),
        *("matmul", "scaled_dot_product_attention"),
    }
)
# Ops with several inputs of the same shape, or for `matmul` of matrices of the same shape, and their number.
OF_EQUALS = {"matmul": 2, "scaled_dot_product_attention": 3}
# Ops whose output is of the order of 1, whatever the input.
BOUNDED = frozenset(
    {
        *("relu6", "tanh", "sigmoid", "hard_sigmoid", "softmax"),
        *("layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalize"),
    }
)


def _dense(draw: Draw, x: TensorType) -> Attributes:
    groups = draw(st.sampled_from([d for d in divisors(x.features[-1]) if d <= 3]))
    return {"units": groups * draw(st.integers(1, 4)), "groups": groups, "bias": draw(st.booleans())}


def _normalization(draw: Draw) -> Attributes:
    return {"epsilon": draw(st.sampled_from([1e-5, 1e-3])), "affine": draw(st.booleans())}


def _batch_norm(draw: Draw, x: TensorType) -> Attributes:
    del x
    return {
        **_normalization(draw),
        "update_rate": draw(st.sampled_from([0.1, 0.01])),
        "running_variance": draw(st.sampled_from(["biased", "unbiased"])),
    }


def _layer_norm(draw: Draw, x: TensorType) -> Attributes:
    axes = _axes(draw, x)
    several = [axis for axis, size in enumerate(x.features, 1) if size > 1]
    more = [] if set(axes) & set(several) else [draw(st.sampled_from(several))]
    return {**_normalization(draw), "axes": axes + more}


def _rms_norm(draw: Draw, x: TensorType) -> Attributes:
    return {**_normalization(draw), "axes": _axes(draw, x)}


def _group_norm(draw: Draw, x: TensorType) -> Attributes:
    several = [groups for groups in divisors(x.features[0]) if groups < x.size]
    return {**_normalization(draw), "groups": draw(st.sampled_from(several))}


def _reshape(draw: Draw, x: TensorType) -> Attributes:
    first = draw(st.sampled_from(divisors(x.size)))
    second = draw(st.sampled_from(divisors(x.size // first)))
    two, three = [first, -1], [first, second, -1]
    shape = draw(st.sampled_from([[x.size], two, three, [1, *three], [*reversed(x.features)]]))
    return {"shape": shape}


def _permute(draw: Draw, x: TensorType) -> Attributes:
    return {"axes": draw(st.permutations(range(1, x.rank)))}


def _axes(draw: Draw, x: TensorType) -> list[int]:
    return draw(st.lists(st.sampled_from(range(1, x.rank)), min_size=1, unique=True))


def _layer_scale(draw: Draw, x: TensorType) -> Attributes:
    return {**_axis(draw, x), "initialize": {"weight": draw(st.sampled_from([0.5, 2]))}}


def _matmul(draw: Draw, x: TensorType) -> Attributes:
    """Transpose exactly one of two matrices of the same shape; for square ones, none or both are allowed too."""
    rows, columns = x.features[-2:]
    square = [(False, False), (True, True)] if rows == columns else []
    a, b = draw(st.sampled_from([(False, True), (True, False), *square]))
    return {"transpose_a": a, "transpose_b": b}


def _multi_head_attention(draw: Draw, x: TensorType) -> Attributes:
    return {"heads": draw(st.sampled_from(divisors(x.features[-1]))), "bias": draw(st.booleans())}


def _roll(draw: Draw, x: TensorType) -> Attributes:
    axes = _axes(draw, x)
    return {"axes": axes, "shifts": [draw(st.integers(-9, 9)) for _ in axes]}


def _factors(draw: Draw, number: int) -> list[int]:
    """Draw one or two factors of a number."""
    first = draw(st.sampled_from(divisors(number)))
    return draw(st.sampled_from([[number], [first, number // first]]))


def _relative_position_bias(draw: Draw, x: TensorType) -> Attributes:
    """Draw a grid. Each axis has 2 · length - 1 rows in the table; the divisors of an odd number are odd."""
    return {"grid": [(length + 1) // 2 for length in _factors(draw, x.features[-2])]}


def _region_mask(draw: Draw, x: TensorType) -> Attributes:
    """Draw a single window, or as many windows as axis 1 has elements, along the first or last axis of the grid."""
    window, count = _factors(draw, x.features[-1]), 1
    windowed = x.rank > 3 and draw(st.booleans())
    if windowed:
        count = x.features[0] if x.features[0] > 1 else draw(st.integers(1, 3))
    grid = [*window]
    grid[draw(st.sampled_from([0, -1]))] *= count
    regions = [[cut, length - cut] if (cut := draw(st.integers(0, length - 1))) else [length] for length in grid]
    window_size = {"window_size": window} if windowed else {}
    return {"regions": regions, **window_size, "value": draw(st.sampled_from([-100.0, -1.5]))}


def _parameter(draw: Draw, x: TensorType) -> Attributes:
    """Draw a parameter of the shape of a value, or of one that broadcasts to it."""
    shape = draw(st.sampled_from([[*x.features], [1, *x.features[1:]]]))
    along_last = [0.5 * (-1) ** i * i for i in range(shape[-1])]
    along_first: Any = 1.5
    for size in (1,) * (len(shape) - 1) + (shape[0],):
        along_first = [along_first] * size
    start = draw(st.sampled_from([{"normal": {"std": 0.5}}, {"values": along_last}, {"values": along_first}]))
    return {"shape": shape, "initialize": {"weight": start}}


def _constant(draw: Draw, x: TensorType) -> Attributes:
    """Draw a constant of the shape of a value, or of one that broadcasts to it."""
    values: Any = 0.5
    for axis, size in enumerate(reversed(draw(st.sampled_from([[*x.features], [1, *x.features[1:]]])))):
        values = [values] * size if axis else [0.5 * (-1) ** i * i for i in range(size)]
    return {"values": values}


def _reduction(draw: Draw, x: TensorType) -> Attributes:
    axes = _axes(draw, x)
    return {"axes": axes, "keepdims": len(axes) == x.rank - 1 or draw(st.booleans())}


def _l2_normalize(draw: Draw, x: TensorType) -> Attributes:
    return {"axes": _axes(draw, x), "epsilon": draw(st.sampled_from([1e-12, 2.0]))}


def _clip(draw: Draw, x: TensorType) -> Attributes:
    del x
    return draw(st.sampled_from([{"min": -1.0, "max": 0.7}, {"min": 0.1}, {"max": 0.3}]))


def _slice(draw: Draw, x: TensorType) -> Attributes:
    axis = draw(st.integers(1, x.rank - 1))
    size = x.features[axis - 1]
    if draw(st.booleans()):
        parts = draw(st.sampled_from(divisors(size)))
        return {"axis": axis, "part": draw(st.integers(0, parts - 1)), "of": parts}
    start = draw(st.integers(0, size - 1))
    stop = draw(st.sampled_from([{}, {"stop": draw(st.integers(start + 1, size))}]))
    return {
        "axis": axis,
        "start": draw(st.sampled_from([start, start - size])),
        "step": draw(st.integers(1, 2)),
        **stop,
    }


def _groups(draw: Draw, x: TensorType) -> Attributes:
    return {"groups": draw(st.sampled_from(divisors(x.features[0])))}


def _pad(draw: Draw, x: TensorType) -> Attributes:
    sides = {side: draw(st.integers(0, 2)) for side in ("start", "end")}
    return _axis(draw, x) | sides | {"value": draw(st.sampled_from([0.0, -1.5]))}


def _axis(draw: Draw, x: TensorType) -> Attributes:
    return {"axis": draw(st.sampled_from([-1, *range(1, x.rank)]))}


def _concat(draw: Draw, x: TensorType) -> Attributes:
    return draw(st.sampled_from([{}, _axis(draw, x)]))


_RULES: dict[type[Op], Rule] = {
    **MAP_RULES,
    ops.Dense: Rule(frozenset({2, 3}), _dense, 3),
    ops.BatchNorm: Rule(ANY, _batch_norm),
    ops.LayerNorm: Rule(ANY, _layer_norm),
    ops.RmsNorm: Rule(ANY, _rms_norm),
    ops.GroupNorm: Rule(ANY - {2}, _group_norm),
    ops.InstanceNorm: Rule(ANY - {2}, lambda draw, x: _normalization(draw)),
    ops.LayerScale: Rule(ANY, _layer_scale),
    ops.MatMul: Rule(ANY - {2}, _matmul, 2),
    ops.ScaledDotProductAttention: Rule(ANY - {2}, of(causal=[False, True])),
    ops.MultiHeadAttention: Rule(frozenset({3}), _multi_head_attention, 4),
    ops.RelativePositionBias: Rule(
        frozenset({3, 4}), _relative_position_bias, 8
    ),  # few values have an odd number of rows
    ops.RegionMask: Rule(ANY - {2}, _region_mask, 3),
    ops.Relu: Rule(ANY, of()),
    ops.Relu6: Rule(ANY, of()),
    ops.LeakyRelu: Rule(ANY, of(negative_slope=[0.01, 0.3, 0.0, -0.5])),
    ops.PRelu: Rule(ANY, of(shared=[False, True])),
    ops.Elu: Rule(ANY, of(alpha=[1.0, 0.3])),
    ops.Tanh: Rule(ANY, of()),
    ops.Sigmoid: Rule(ANY, of()),
    ops.Gelu: Rule(ANY, of(form=["erf", "tanh"])),
    ops.Silu: Rule(ANY, of()),
    ops.HardSigmoid: Rule(ANY, of()),
    ops.HardSwish: Rule(ANY, of()),
    ops.Softplus: Rule(ANY, of()),
    ops.Mish: Rule(ANY, of()),
    ops.Softmax: Rule(ANY, _axis),
    ops.Rescale: Rule(ANY, of(scale=[1.0, -1.0, 0.17], offset=[0.0, 1.0, -0.3])),
    ops.Exp: Rule(ANY, of(), 4),  # few values are of the order of 1
    ops.Log: Rule(ANY, of()),
    ops.Sin: Rule(ANY, of(), 2),
    ops.Cos: Rule(ANY, of(), 2),
    ops.Abs: Rule(ANY, of()),
    ops.Power: Rule(ANY, of(exponent=[2.0, 3.0, 0.5, 0.75, -0.5, -1.0]), 2),
    ops.Clip: Rule(ANY, _clip),
    ops.Dropout: Rule(ANY, of(rate=[0.0, 0.25, 0.5], mode=["inverted", "standard"])),
    ops.ReduceMean: Rule(ANY, _reduction),
    ops.ReduceSum: Rule(ANY, _reduction),
    ops.ReduceMax: Rule(ANY, _reduction),
    ops.ReduceMin: Rule(ANY, _reduction),
    ops.ReduceL2: Rule(ANY, _reduction),
    ops.L2Normalize: Rule(ANY, _l2_normalize),
    ops.StochasticDepth: Rule(ANY, of(rate=[0.0, 0.25], mode=["row", "batch"])),
    ops.Flatten: Rule(ANY, of()),
    ops.Reshape: Rule(ANY, _reshape),
    ops.Permute: Rule(ANY, _permute),
    ops.Slice: Rule(ANY, _slice, 2),
    ops.ChannelShuffle: Rule(ANY - {2}, _groups),
    ops.Roll: Rule(ANY, _roll),
    ops.Pad: Rule(ANY, _pad, 2),
    ops.Add: Rule(ANY, of(), 2),
    ops.Subtract: Rule(ANY, of(), 2),
    ops.Multiply: Rule(ANY, of(), 2),
    ops.Divide: Rule(ANY, of(), 2),
    ops.Maximum: Rule(ANY, of()),
    ops.Minimum: Rule(ANY, of()),
    ops.Concat: Rule(ANY, _concat, 2),
    ops.Parameter: Rule(ANY, _parameter),
    ops.ConstantTensor: Rule(ANY, _constant),
    ops.Identity: Rule(ANY, of()),
}
RULES = {op.kind: rule for op, rule in _RULES.items()}
"""The rule of each op, by kind. Every op of the language has one."""


def needs_positive(kind: str, attributes: Attributes) -> bool:
    """Whether the last input of an op has to be positive for a finite result."""
    return kind in ("divide", "log") or (kind == "power" and attributes["exponent"] not in (2.0, 3.0))


def allows(kind: str, x: TensorType) -> bool:
    """Whether an op accepts an input, given that its rank fits. For example, a norm of a single number is refused."""
    match kind:
        case "layer_norm" | "group_norm":
            return x.size > 1
        case "instance_norm":
            return x.size > x.features[0]
        case "relative_position_bias":
            return x.features[-2] % 2 == 1
        case "region_mask":
            return x.features[-1] == x.features[-2]
        case _:
            return True
