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
_EACH: Final = "each "  # the prefix of the kind of a tuple with an item for each element of a stack


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
    if named & wanted or list_depth(named) or list_depth(wanted):
        return bool(named & wanted)
    if "size" in wanted:
        return not named <= _NO_SIZES
    return "channels" in named and bool(wanted & _COUNTS)


def each_of(kinds: Kinds) -> Kinds:
    """The kinds of a tuple with an item of these kinds for each element of a stack."""
    return frozenset(f"{_EACH}{kind}" for kind in kinds)


def within(kinds: Kinds) -> Kinds:
    """The kinds of the items of such a tuple; of any other number its own."""
    return frozenset(kind.removeprefix(_EACH) for kind in kinds)


def list_depth(kinds: Kinds) -> int:
    """How many such tuples are in one another: 0 for any other number.

    >>> list_depth(each_of(each_of(kinds_of("rate")))), list_depth(kinds_of("rate")), list_depth(ANY)
    (2, 0, 0)
    """
    return min((kind.count(_EACH) for kind in kinds), default=0)
