"""What torch's layers take, where instances of a block differ in it: names of arguments, and defaults of the optional.

A layer that is not here is written as it is for each instance, and instances that differ in it have classes of their
own, unless what differs stands in the same place in each.
"""

from typing import Final

from netspec.lowering.generalize import Signature

_NORM: Final = Signature(("num_features",), {"eps": 1e-5, "momentum": 0.1, "affine": True})
SIGNATURES: Final = {
    "nn.Conv2d": Signature(
        ("in_channels", "out_channels"),
        {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True},
    ),
    "nn.Linear": Signature(("in_features", "out_features"), {"bias": True}),
    "GroupedLinear": Signature(("in_features", "out_features"), {"groups": 1, "bias": True}),
    "nn.BatchNorm1d": _NORM,
    "nn.BatchNorm2d": _NORM,
    "nn.BatchNorm3d": _NORM,
    "BiasedBatchNorm": _NORM,
    "nn.LayerNorm": Signature(("normalized_shape",), {"eps": 1e-5, "elementwise_affine": True}),
    "nn.GroupNorm": Signature(("num_groups", "num_channels"), {"eps": 1e-5, "affine": True}),
}
