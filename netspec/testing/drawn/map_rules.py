"""Rules for ops on maps: convolution, pooling, resizing, padding."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netspec import ops
from netspec.ops import Op
from netspec.ops.attributes import extent
from netspec.testing.drawn.rule import MAP, MOST_CHANNELS, Attributes, Draw, Rule, divisors, of
from netspec.types import TensorType


def _sides(draw: Draw, most: tuple[int, int]) -> int | dict[str, int]:
    """Draw padding: one number, or some of the four sides. `most` is the limit for rows and for columns."""
    if draw(st.booleans()):
        return draw(st.integers(0, min(most)))
    sides = {
        side: draw(st.integers(0, most[axis])) for axis, side in ((0, "top"), (0, "bottom"), (1, "left"), (1, "right"))
    }
    return {side: number for side, number in sides.items() if number}


def _added(padding: int | dict[str, int]) -> tuple[int, int]:
    """The number of rows, and of columns, that padding adds."""
    if isinstance(padding, int):
        return 2 * padding, 2 * padding
    return padding.get("top", 0) + padding.get("bottom", 0), padding.get("left", 0) + padding.get("right", 0)


def _same(draw: Draw, stride: list[int]) -> dict[str, str]:
    """Draw a rule of `same` padding; `torch` is only defined for a stride of 1."""
    return {"same": draw(st.sampled_from(["tf", "lower", *(["torch"] if stride == [1, 1] else [])]))}


def _size(height: int, width: int) -> int | dict[str, int]:
    return height if height == width else {"height": height, "width": width}


def _conv2d(draw: Draw, x: TensorType) -> Attributes:
    channels, *size = x.features
    groups = draw(st.sampled_from(divisors(channels)))
    explicit = draw(st.booleans())
    padding = _sides(draw, (2, 2)) if explicit else 0
    # Explicit padding makes room for a kernel larger than the map, and `same` for any kernel.
    room = [length + more for length, more in zip(size, _added(padding), strict=True)] if explicit else [9, 9]
    kernel = [draw(st.integers(1, min(4, length))) for length in room]
    fitting = ([d for d in (1, 2) if extent(k, d) <= length] for k, length in zip(kernel, room, strict=True))
    dilation = [draw(st.sampled_from(choices)) for choices in fitting]
    stride = [draw(st.integers(1, 3)) for _ in size]
    return {
        "filters": groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups))),
        "kernel_size": _size(*kernel),
        "stride": _size(*stride),
        "padding": padding if explicit else _same(draw, stride),
        "dilation": _size(*dilation),
        "groups": groups,
        "bias": draw(st.booleans()),
        "round": draw(st.sampled_from(["floor", "ceil"])),
    }


def _conv_transpose2d(draw: Draw, x: TensorType) -> Attributes:
    groups = draw(st.sampled_from(divisors(x.features[0])))
    kernel, stride, dilation = ([draw(st.integers(1, most)) for _ in "hw"] for most in (3, 2, 2))
    extra = [draw(st.integers(0, s - 1)) for s in stride]
    sizes = zip(x.features[1:], kernel, stride, dilation, strict=True)
    uncropped = [(length - 1) * s + extent(k, d) for length, k, s, d in sizes]
    return {
        "filters": groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups))),
        "kernel_size": _size(*kernel),
        "stride": _size(*stride),
        "padding": _sides(draw, (min(2, (uncropped[0] - 1) // 2), min(2, (uncropped[1] - 1) // 2))),
        "output_padding": {"height": extra[0], "width": extra[1]},
        "dilation": _size(*dilation),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


def _pool(draw: Draw, x: TensorType) -> Attributes:
    explicit = draw(st.booleans())
    most = [3 if not explicit else min(3, length) for length in x.features[1:]]
    kernel = [draw(st.integers(1, size)) for size in most]
    stride = [draw(st.integers(1, 3)) for _ in kernel] if draw(st.booleans()) else kernel
    return {
        "kernel_size": _size(*kernel),
        **({"stride": _size(*stride)} if stride is not kernel else {}),
        "padding": _sides(draw, (kernel[0] - 1, kernel[1] - 1)) if explicit else _same(draw, stride),
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
        "groups": draw(st.sampled_from(divisors(x.features[0]))) if region == "channels" else 1,
        "region": region,
    }


def _resize(draw: Draw, x: TensorType) -> Attributes:
    mode = draw(st.sampled_from(["nearest", "bilinear"]))
    size = {"size": _size(draw(st.integers(1, 9)), draw(st.integers(1, 9)))}
    scales: list[Any] = [2.0, 1.5, {"height": 2.0}, {"width": 1.5, "height": 1.0}]
    scales += [0.5] if min(x.features[1:]) > 1 else []
    roundings = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
    return {
        **draw(st.sampled_from([size, {"scale": draw(st.sampled_from(scales))}])),
        "mode": mode,
        "coordinates": draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners"])),
        **({"rounding": draw(st.sampled_from(roundings))} if mode == "nearest" else {}),
    }


def _pad2d(draw: Draw, x: TensorType) -> Attributes:
    if draw(st.booleans()):
        return {"padding": _sides(draw, (2, 2)), "value": draw(st.sampled_from([0.0, -1.5]))}
    return {"padding": _sides(draw, (min(2, x.features[1] - 1), min(2, x.features[2] - 1))), "mode": "reflect"}


MAP_RULES: dict[type[Op], Rule] = {
    ops.Conv2d: Rule(MAP, _conv2d, 5),
    ops.ConvTranspose2d: Rule(MAP, _conv_transpose2d, 3),
    ops.MaxPool2d: Rule(MAP, _pool, 3),
    ops.AvgPool2d: Rule(MAP, _avg_pool2d, 3),
    ops.GlobalAvgPool2d: Rule(MAP, of(keepdims=[False, True])),
    ops.AdaptiveAvgPool2d: Rule(MAP, of(output_size=[1, 3, {"height": 2, "width": 5}]), 2),
    ops.Resize: Rule(MAP, _resize, 2),
    ops.LocalResponseNorm: Rule(MAP, _local_response_norm, 5),
    ops.Pad2d: Rule(MAP, _pad2d, 2),
}
"""The rules for ops on maps."""
