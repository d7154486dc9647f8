"""How each op is drawn for random specs: which inputs it takes, its attributes for one of them, how often it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from netspec import ops
from netspec.ops import Op
from netspec.ops.attributes import extent
from netspec.types import TensorType

Attributes = dict[str, Any]
Draw = st.DrawFn

MOST_CHANNELS = 8
MERGES = frozenset({"add", "subtract", "multiply", "concat", "matmul", "scaled_dot_product_attention"})
# Layers of several values of one shape, and of how many.
OF_EQUALS = {"matmul": 2, "scaled_dot_product_attention": 3}
# Whatever comes in, what goes out is of the order of one.
BOUNDED = frozenset(
    {"relu6", "tanh", "sigmoid", "hard_sigmoid", "softmax", "layer_norm", "group_norm", "instance_norm", "l2_normalize"}
)
MAP = frozenset({4})
ANY = frozenset({2, 3, 4})


@dataclass(frozen=True)
class Rule:
    """Which inputs an op takes, by rank with the batch counted; its attributes for one of them; how often it comes."""

    ranks: frozenset[int]
    attributes: Callable[[Draw, TensorType], Attributes]
    weight: int = 1


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _sides(draw: Draw, most: tuple[int, int]) -> int | dict[str, int]:
    """Padding: one number, or each side apart; a side left out is none. `most` is of rows, of columns."""
    if draw(st.booleans()):
        return draw(st.integers(0, min(most)))
    sides = {
        side: draw(st.integers(0, most[axis])) for axis, side in ((0, "top"), (0, "bottom"), (1, "left"), (1, "right"))
    }
    return {side: number for side, number in sides.items() if number}


def _size(height: int, width: int) -> int | dict[str, int]:
    return height if height == width else {"height": height, "width": width}


def _conv2d(draw: Draw, x: TensorType) -> Attributes:
    channels, *size = x.features
    groups = draw(st.sampled_from(_divisors(channels)))
    kernel = [draw(st.integers(1, min(3, length))) for length in size]
    fitting = ([d for d in (1, 2) if extent(k, d) <= length] for k, length in zip(kernel, size, strict=True))
    dilation = [draw(st.sampled_from(choices)) for choices in fitting]
    stride = [draw(st.integers(1, 3)) for _ in size]
    named = ["tf", "lower", *(["torch"] if stride == [1, 1] else [])]
    sides = draw(st.booleans())
    return {
        "filters": groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups))),
        "kernel_size": _size(*kernel),
        "stride": _size(*stride),
        "padding": _sides(draw, (2, 2)) if sides else {"same": draw(st.sampled_from(named))},
        "dilation": _size(*dilation),
        "groups": groups,
        "bias": draw(st.booleans()),
        "round": draw(st.sampled_from(["floor", "ceil"])),
    }


def _conv_transpose2d(draw: Draw, x: TensorType) -> Attributes:
    groups = draw(st.sampled_from(_divisors(x.features[0])))
    kernel, stride, dilation = ([draw(st.integers(1, most)) for _ in "hw"] for most in (3, 2, 2))
    extra = [draw(st.integers(0, s - 1)) for s in stride]
    sizes = zip(x.features[1:], kernel, stride, dilation, strict=True)
    left = [(length - 1) * s + extent(k, d) for length, k, s, d in sizes]
    return {
        "filters": groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups))),
        "kernel_size": _size(*kernel),
        "stride": _size(*stride),
        "padding": _sides(draw, (min(2, (left[0] - 1) // 2), min(2, (left[1] - 1) // 2))),
        "output_padding": {"height": extra[0], "width": extra[1]},
        "dilation": _size(*dilation),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


def _dense(draw: Draw, x: TensorType) -> Attributes:
    groups = draw(st.sampled_from([d for d in _divisors(x.features[-1]) if d <= 3]))
    return {"units": groups * draw(st.integers(1, 4)), "groups": groups, "bias": draw(st.booleans())}


def _pool(draw: Draw, x: TensorType) -> Attributes:
    kernel = [draw(st.integers(1, min(3, length))) for length in x.features[1:]]
    stride = {"stride": _size(*(draw(st.integers(1, 3)) for _ in kernel))} if draw(st.booleans()) else {}
    sides = draw(st.booleans())
    return {
        "kernel_size": _size(*kernel),
        **stride,
        "padding": _sides(draw, (kernel[0] - 1, kernel[1] - 1)) if sides else {"same": "tf"},
        "round": draw(st.sampled_from(["floor", "ceil"])),
    }


def _avg_pool2d(draw: Draw, x: TensorType) -> Attributes:
    return {**_pool(draw, x), "divisor": draw(st.sampled_from(["window", "window_in_padded", "valid_only"]))}


def _local_response_norm(draw: Draw, x: TensorType) -> Attributes:
    region = draw(st.sampled_from(["channels", "map"]))
    return {
        "size": draw(st.integers(1, 5)),
        "alpha": draw(st.sampled_from([1e-4, 0.02])),
        "beta": draw(st.sampled_from([0.75, 0.5, 0.6])),
        "k": draw(st.sampled_from([1, 2.0])),
        "convention": draw(st.sampled_from(["sum", "mean"])),
        "groups": draw(st.sampled_from(_divisors(x.features[0]))) if region == "channels" else 1,
        "region": region,
    }


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
    return {**_normalization(draw), "axes": _axes(draw, x)}


def _group_norm(draw: Draw, x: TensorType) -> Attributes:
    several = [groups for groups in _divisors(x.features[0]) if groups < x.size]
    return {**_normalization(draw), "groups": draw(st.sampled_from(several))}


def _reshape(draw: Draw, x: TensorType) -> Attributes:
    first = draw(st.sampled_from(_divisors(x.size)))
    second = draw(st.sampled_from(_divisors(x.size // first)))
    shape = draw(st.sampled_from([[x.size], [first, -1], [first, second, -1], [*reversed(x.features)]]))
    return {"shape": shape}


def _permute(draw: Draw, x: TensorType) -> Attributes:
    return {"axes": draw(st.permutations(range(1, x.rank)))}


def _axes(draw: Draw, x: TensorType) -> list[int]:
    return draw(st.lists(st.sampled_from(range(1, x.rank)), min_size=1, unique=True))


def _layer_scale(draw: Draw, x: TensorType) -> Attributes:
    return {**_axis(draw, x), "initialize": {"weight": draw(st.sampled_from([0.5, 2]))}}


def _matmul(draw: Draw, x: TensorType) -> Attributes:
    """Of two matrices of one shape one has to be transposed, or they are square."""
    rows, columns = x.features[-2:]
    square = [(False, False), (True, True)] if rows == columns else []
    a, b = draw(st.sampled_from([(False, True), (True, False), *square]))
    return {"transpose_a": a, "transpose_b": b}


def _resize(draw: Draw, x: TensorType) -> Attributes:
    mode = draw(st.sampled_from(["nearest", "bilinear"]))
    size = {"size": _size(draw(st.integers(1, 9)), draw(st.integers(1, 9)))}
    scales = [2.0, 1.5, *([0.5] if min(x.features[1:]) > 1 else [])]
    roundings = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
    return {
        **draw(st.sampled_from([size, {"scale": draw(st.sampled_from(scales))}])),
        "mode": mode,
        "coordinates": draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners"])),
        **({"rounding": draw(st.sampled_from(roundings))} if mode == "nearest" else {}),
    }


def _multi_head_attention(draw: Draw, x: TensorType) -> Attributes:
    return {"heads": draw(st.sampled_from(_divisors(x.features[-1]))), "bias": draw(st.booleans())}


def _roll(draw: Draw, x: TensorType) -> Attributes:
    axes = _axes(draw, x)
    return {"axes": axes, "shifts": [draw(st.integers(-9, 9)) for _ in axes]}


def _factors(draw: Draw, number: int) -> list[int]:
    """One or two numbers of this product."""
    first = draw(st.sampled_from(_divisors(number)))
    return draw(st.sampled_from([[number], [first, number // first]]))


def _relative_position_bias(draw: Draw, x: TensorType) -> Attributes:
    """The rows of a table are odd in number, and so are their divisors."""
    return {"grid": [(length + 1) // 2 for length in _factors(draw, x.features[-2])]}


def _region_mask(draw: Draw, x: TensorType) -> Attributes:
    """Of one window that is the grid, or of as many as axis 1 says, along the first axis or the last."""
    window, count = _factors(draw, x.features[-1]), 1
    windowed = x.rank == 4 and draw(st.booleans())
    if windowed:
        count = x.features[0] if x.features[0] > 1 else draw(st.integers(1, 3))
    grid = [*window]
    grid[draw(st.sampled_from([0, -1]))] *= count
    regions = [[cut, length - cut] if (cut := draw(st.integers(0, length - 1))) else [length] for length in grid]
    stated = {"window_size": window} if windowed else {}
    return {"regions": regions, **stated, "value": draw(st.sampled_from([-100.0, -1.5]))}


def _parameter(draw: Draw, x: TensorType) -> Attributes:
    """Of the shape of a value, or one that broadcasts against it."""
    shape = draw(st.sampled_from([[*x.features], [1, *x.features[1:]]]))
    return {"shape": shape, "initialize": {"weight": {"normal": {"std": 0.5}}}}


def _reduction(draw: Draw, x: TensorType) -> Attributes:
    axes = _axes(draw, x)
    return {"axes": axes, "keepdims": len(axes) == x.rank - 1 or draw(st.booleans())}


def _l2_normalize(draw: Draw, x: TensorType) -> Attributes:
    return {"axes": _axes(draw, x), "epsilon": draw(st.sampled_from([1e-12, 2.0]))}


def _slice(draw: Draw, x: TensorType) -> Attributes:
    axis = draw(st.integers(1, x.rank - 1))
    size = x.features[axis - 1]
    if draw(st.booleans()):
        of = draw(st.sampled_from(_divisors(size)))
        return {"axis": axis, "part": draw(st.integers(0, of - 1)), "of": of}
    start = draw(st.integers(0, size - 1))
    stop = draw(st.sampled_from([{}, {"stop": draw(st.integers(start + 1, size))}]))
    return {
        "axis": axis,
        "start": draw(st.sampled_from([start, start - size])),
        "step": draw(st.integers(1, 2)),
        **stop,
    }


def _groups(draw: Draw, x: TensorType) -> Attributes:
    return {"groups": draw(st.sampled_from(_divisors(x.features[0])))}


def _pad(draw: Draw, x: TensorType) -> Attributes:
    sides = {side: draw(st.integers(0, 2)) for side in ("start", "end")}
    return _axis(draw, x) | sides | {"value": draw(st.sampled_from([0.0, -1.5]))}


def _pad2d(draw: Draw, x: TensorType) -> Attributes:
    if draw(st.booleans()):
        return {"padding": _sides(draw, (2, 2)), "value": draw(st.sampled_from([0.0, -1.5]))}
    return {"padding": _sides(draw, (min(2, x.features[1] - 1), min(2, x.features[2] - 1))), "mode": "reflect"}


def _of(**choices: Sequence[Any]) -> Callable[[Draw, TensorType], Attributes]:
    """Attributes that do not depend on the input."""
    return lambda draw, x: {name: draw(st.sampled_from(values)) for name, values in choices.items()}


def _axis(draw: Draw, x: TensorType) -> Attributes:
    return {"axis": draw(st.sampled_from([-1, *range(1, x.rank)]))}


_RULES: dict[type[Op], Rule] = {
    ops.Conv2d: Rule(MAP, _conv2d, 5),
    ops.ConvTranspose2d: Rule(MAP, _conv_transpose2d, 3),
    ops.Dense: Rule(frozenset({2, 3}), _dense, 3),
    ops.MaxPool2d: Rule(MAP, _pool, 3),
    ops.AvgPool2d: Rule(MAP, _avg_pool2d, 3),
    ops.GlobalAvgPool2d: Rule(MAP, _of(keepdims=[False, True])),
    ops.AdaptiveAvgPool2d: Rule(MAP, _of(output_size=[1, 3, {"height": 2, "width": 5}])),
    ops.Resize: Rule(MAP, _resize, 2),
    ops.LocalResponseNorm: Rule(MAP, _local_response_norm, 5),
    ops.BatchNorm: Rule(ANY, _batch_norm),
    ops.LayerNorm: Rule(ANY, _layer_norm),
    ops.GroupNorm: Rule(frozenset({3, 4}), _group_norm),
    ops.InstanceNorm: Rule(frozenset({3, 4}), lambda draw, x: _normalization(draw)),
    ops.LayerScale: Rule(ANY, _layer_scale),
    ops.MatMul: Rule(frozenset({3, 4}), _matmul, 2),
    ops.ScaledDotProductAttention: Rule(frozenset({3, 4}), _of(causal=[False, True])),
    ops.MultiHeadAttention: Rule(frozenset({3}), _multi_head_attention, 2),
    ops.RelativePositionBias: Rule(frozenset({3}), _relative_position_bias, 8),  # few values have odd rows
    ops.RegionMask: Rule(frozenset({3, 4}), _region_mask, 3),
    ops.Relu: Rule(ANY, _of()),
    ops.Relu6: Rule(ANY, _of()),
    ops.LeakyRelu: Rule(ANY, _of(negative_slope=[0.01, 0.3])),
    ops.PRelu: Rule(ANY, _of(shared=[False, True])),
    ops.Elu: Rule(ANY, _of(alpha=[1.0, 0.3])),
    ops.Tanh: Rule(ANY, _of()),
    ops.Sigmoid: Rule(ANY, _of()),
    ops.Gelu: Rule(ANY, _of(form=["erf", "tanh"])),
    ops.Silu: Rule(ANY, _of()),
    ops.HardSigmoid: Rule(ANY, _of()),
    ops.HardSwish: Rule(ANY, _of()),
    ops.Softplus: Rule(ANY, _of()),
    ops.Mish: Rule(ANY, _of()),
    ops.Softmax: Rule(ANY, _axis),
    ops.Rescale: Rule(ANY, _of(scale=[1.0, -1.0, 0.17], offset=[0.0, 1.0, -0.3])),
    ops.Exp: Rule(ANY, _of(), 4),  # few values are of the order of one
    ops.Abs: Rule(ANY, _of()),
    ops.Dropout: Rule(ANY, _of(rate=[0.0, 0.25, 0.5], mode=["inverted", "standard"])),
    ops.ReduceMean: Rule(ANY, _reduction),
    ops.ReduceSum: Rule(ANY, _reduction),
    ops.ReduceMax: Rule(ANY, _reduction),
    ops.L2Normalize: Rule(ANY, _l2_normalize),
    ops.StochasticDepth: Rule(ANY, _of(rate=[0.0, 0.25], mode=["row", "batch"])),
    ops.Flatten: Rule(ANY, _of()),
    ops.Reshape: Rule(ANY, _reshape),
    ops.Permute: Rule(ANY, _permute),
    ops.Slice: Rule(ANY, _slice, 2),
    ops.ChannelShuffle: Rule(frozenset({3, 4}), _groups),
    ops.Roll: Rule(ANY, _roll),
    ops.Pad: Rule(ANY, _pad, 2),
    ops.Pad2d: Rule(MAP, _pad2d, 2),
    ops.Add: Rule(ANY, _of(), 2),
    ops.Subtract: Rule(ANY, _of(), 2),
    ops.Multiply: Rule(ANY, _of(), 2),
    ops.Concat: Rule(ANY, _of(), 2),
    ops.Parameter: Rule(ANY, _parameter),
    ops.Identity: Rule(ANY, _of()),
}
RULES = {op.kind: rule for op, rule in _RULES.items()}
"""How each op is drawn, by kind: every op of the language has a rule."""


def allows(kind: str, x: TensorType) -> bool:
    """Whether an op takes a value of a rank that it takes: a norm of one number alone is refused."""
    match kind:
        case "group_norm":
            return x.size > 1
        case "instance_norm":
            return x.size > x.features[0]
        case "relative_position_bias":
            return x.features[-2] % 2 == 1
        case "region_mask":
            return x.features[-1] == x.features[-2]
        case _:
            return True
