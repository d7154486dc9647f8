"""The names of layers' variables in Keras 3, for weights files that have numbers or the names of an older Keras."""

from __future__ import annotations

import re
from typing import Final

_KERNEL: Final = ("kernel", "bias")
_SCALED: Final = ("gamma", "beta")
_VARIABLES: Final[dict[str, tuple[str, ...]]] = {  # in the order in which Keras 3 numbers them, by class
    **dict.fromkeys(("conv1d", "conv2d", "conv2d_transpose", "depthwise_conv2d", "dense"), _KERNEL),
    **dict.fromkeys(("layer_normalization", "group_normalization"), _SCALED),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "batch_normalization": (*_SCALED, "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
    "layer_scale": ("gamma",),
    "p_re_lu": ("alpha",),
    "embedding": ("embeddings",),
}
_FIRST_KERAS: Final = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


def variable_names(kind: str, count: int) -> list[str]:
    """The names of a layer's variables by their order in a file; for an unknown class, their numbers.

    A batch normalization with three variables has no scale: in keras.applications, all have a shift.

    >>> variable_names("conv2d", 1), variable_names("batch_normalization", 3)
    (['kernel'], ['beta', 'moving_mean', 'moving_variance'])
    """
    known = _VARIABLES.get(kind, ())
    if kind == "batch_normalization" and count < len(known):
        return list(known[len(known) - count :])
    return list(known[:count]) if count <= len(known) else [str(number) for number in range(count)]


def legacy_variable(name: str, layer: str) -> str:
    """The name of a variable in Keras 3, from its name in Keras 1 or 2.

    A variable without a name, such as `variable_7`, is the gamma of a LayerScale: no other layer of keras.applications
    has one.

    >>> legacy_variable("block1_conv1_W_1", "block1_conv1"), legacy_variable("variable_7", "scale")
    ('kernel', 'gamma')
    """
    if re.fullmatch(r"[Vv]ariable(_\d+)?", name):
        return "gamma"
    if name.startswith(f"{layer}_"):
        name = re.sub(r"_\d+$", "", name.removeprefix(f"{layer}_"))
    return _FIRST_KERAS.get(name, name)


def default_name(layer: str) -> tuple[str, int] | None:
    """The class and number of a layer with a default name; None for a layer that was given a name.

    >>> default_name("conv2d_94"), default_name("conv2d"), default_name("block1_conv1")
    (('conv2d', 94), ('conv2d', 0), None)
    """
    match = re.fullmatch(r"(\w+?)(?:_(\d+))?", layer)
    return (match[1], int(match[2] or 0)) if match and match[1] in _VARIABLES else None


def snake_case(name: str) -> str:
    """The default name of a layer of a class.

    >>> snake_case("DepthwiseConv2D"), snake_case("PReLU")
    ('depthwise_conv2d', 'p_re_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
