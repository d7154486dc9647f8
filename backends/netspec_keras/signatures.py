"""What Keras' layers take, where instances of a block differ in it: names of arguments, and defaults of optional ones.

Momentum and epsilon are not among those: they are always written out.
"""

from typing import Final

from netspec.lowering.generalize import Signature

_BATCH_NORM: Final = Signature(optional={"axis": -1, "center": True, "scale": True})
_LAYER_NORM: Final = Signature(optional={"axis": -1, "center": True, "scale": True})
SIGNATURES: Final = {
    "layers.Conv2D": Signature(
        ("filters", "kernel_size"),
        {"strides": 1, "padding": "valid", "dilation_rate": 1, "groups": 1, "use_bias": True},
    ),
    "layers.DepthwiseConv2D": Signature(
        ("kernel_size",),
        {"strides": 1, "padding": "valid", "depth_multiplier": 1, "dilation_rate": 1, "use_bias": True},
    ),
    "GroupedConv2D": Signature(
        ("filters", "kernel_size"),
        {"groups": 1, "strides": 1, "padding": "valid", "dilation_rate": 1, "use_bias": True},
    ),
    "layers.Dense": Signature(("units",), {"use_bias": True}),
    "GroupedDense": Signature(("units",), {"groups": 1, "use_bias": True}),
    "layers.ZeroPadding2D": Signature(("padding",)),
    "layers.BatchNormalization": _BATCH_NORM,
    "UnbiasedBatchNormalization": _BATCH_NORM,
    "layers.LayerNormalization": _LAYER_NORM,
    "AxisLayerNormalization": _LAYER_NORM,
    "layers.GroupNormalization": Signature(("groups",), {"axis": -1, "center": True, "scale": True}),
    "layers.Dropout": Signature(("rate",)),
    "StandardDropout": Signature(("rate",)),
}
