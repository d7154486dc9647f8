"""Kinds of numbers: a number is never named after one of another kind that happens to be equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# The names that specs and frameworks give to each kind of number. Any other name is its own kind.
_NAMES: Final[Mapping[str, str]] = {
    "channels": """channels in_channels out_channels in_features out_features num_features num_channels num_parameters
        embed_dim normalized_shape filters units""",
    "kernel": "kernel_size pool_size",
    "stride": "stride strides",
    "padding": "padding pad",
    "dilation": "dilation dilation_rate",
    "groups": "groups num_groups",
    "heads": "heads num_heads",
    "rate": "rate p",
    "epsilon": "epsilon eps",
    "bias": "bias use_bias",
    "affine": "affine elementwise_affine center",
    "size": "size output_size shape target_shape",
    "axes": "axes axis dims dim",
    "shifts": "shifts shift",
    "scale": "scale scale_factor",
}
_KINDS: Final = {name: kind for kind, names in _NAMES.items() for name in names.split()}
# Kinds that are never sizes, and so never name an element of a shape.
_NO_SIZES: Final = frozenset(
    {"kernel", "stride", "padding", "dilation", "rate", "epsilon", "bias", "affine", "momentum", "axes"}
)
# Kinds whose numbers may equal the number of channels, as in a depthwise convolution.
_COUNTS: Final = frozenset({"groups", "heads"})
# Kinds for which one int stands for all axes or sides.
PER_AXIS: Final = frozenset({"kernel", "stride", "padding", "dilation"})
Kinds = frozenset[str]
ANY: Final[Kinds] = frozenset()  # the kinds of a name that nothing is known about
PADDING: Final = frozenset({"padding", "start", "end"})  # of the argument of a function that pads any axes
SIZE: Final = frozenset({"size"})  # the kinds of a number without a name


def kinds_of(name: str) -> frozenset[str]:
    """The kind of a number, judged only by its name.

    >>> kinds_of("strides"), kinds_of("squeezed")
    (frozenset({'stride'}), frozenset({'squeezed'}))
    """
    return frozenset({_KINDS.get(name, name)})


def is_known(name: str) -> bool:
    """Whether a name is one of a kind with several names."""
    return name in _KINDS


def may_name(named: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether a name of the kinds `named` may stand for a number of the kinds `wanted`.

    >>> may_name(kinds_of("filters"), kinds_of("out_channels")), may_name(kinds_of("count"), kinds_of("kernel_size"))
    (True, False)
    """
    if named == ANY:
        return bool(wanted & {"channels", "size"})
    if named & wanted:
        return True
    if "size" in wanted:
        return not named <= _NO_SIZES
    return "channels" in named and bool(wanted & _COUNTS)
