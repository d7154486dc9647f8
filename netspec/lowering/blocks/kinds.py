"""What kind of number a name means: none is named after one of another kind, which is equal by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# What specs and frameworks call the same kind of number; a name that is not here is a kind of its own.
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
# What a number without a name, an element of a shape, is never named after.
_NO_SIZES: Final = frozenset(
    {"kernel", "stride", "padding", "dilation", "rate", "epsilon", "bias", "affine", "momentum", "axes"}
)
# What may be as many as there are channels.
_COUNTS: Final = frozenset({"groups", "heads"})
# Of which one number stands for all axes, or sides.
PER_AXIS: Final = frozenset({"kernel", "stride", "padding", "dilation"})
Kinds = frozenset[str]
ANY: Final[Kinds] = frozenset()  # of a name of which nothing is known
SIZE: Final = frozenset({"size"})  # of a number without a name


def kinds_of(name: str) -> frozenset[str]:
    """The kind that a name alone tells.

    >>> kinds_of("strides"), kinds_of("squeezed")
    (frozenset({'stride'}), frozenset({'squeezed'}))
    """
    return frozenset({_KINDS.get(name, name)})


def is_known(name: str) -> bool:
    """Whether a name tells a kind that others tell as well."""
    return name in _KINDS


def may_name(named: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether a name of these kinds may stand for a number of those.

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
