"""The signatures of Keras' layers: names of positional arguments, and defaults of optional ones.

With these, instances of a block that differ in an argument share a function, which has it as a parameter. Momentum and
epsilon are not listed, since they are always written out. Arguments whose default is None are not listed either: None
marks a parameter as required.
"""

from typing import Final

from netspec.lowering.blocks.kinds import PADDING
from netspec.lowering.blocks.template import Signature

_BATCH_NORM: Final = Signature(optional={"axis": -1, "center": True, "scale": True})
_LAYER_NORM: Final = Signature(optional={"axis": -1, "center": True, "scale": True})
_POOL: Final = Signature(("pool_size",), {"padding": "valid"})
_PADDING: Final = Signature(("padding",))
_REDUCTION: Final = Signature(optional={"keepdims": False})
SIGNATURES: Final = {
    "layers.Conv2D": Signature(
        ("filters", "kernel_size"),
        {"strides": 1, "padding": "valid", "dilation_rate": 1, "groups": 1, "use_bias": True},
    ),
    "layers.DepthwiseConv2D": Signature(
        ("kernel_size",),
        {"strides": 1, "padding": "valid", "depth_multiplier": 1, "dilation_rate": 1, "use_bias": True},
    ),
    "PointwiseConv2D": Signature(("filters", "kernel_size"), {"strides": 1, "groups": 1, "use_bias": True}),
    "GroupedConv2D": Signature(
        ("filters", "kernel_size"),
        {"groups": 1, "strides": 1, "padding": "valid", "dilation_rate": 1, "use_bias": True},
    ),
    "DilatedConv2D": Signature(
        ("filters", "kernel_size"), {"groups": 1, "strides": 1, "dilation_rate": 1, "use_bias": True}
    ),
    "DilatedDepthwiseConv2D": Signature(
        ("kernel_size",), {"strides": 1, "depth_multiplier": 1, "dilation_rate": 1, "use_bias": True}
    ),
    "layers.Conv2DTranspose": Signature(
        ("filters", "kernel_size"), {"strides": 1, "padding": "valid", "use_bias": True}
    ),
    "CroppedConv2DTranspose": Signature(
        ("filters", "kernel_size"),
        {
            "strides": 1,
            "crop": ((0, 0), (0, 0)),
            "output_padding": (0, 0),
            "dilation_rate": 1,
            "groups": 1,
            "use_bias": True,
        },
    ),
    "layers.Dense": Signature(("units",), {"use_bias": True}),
    "GroupedDense": Signature(("units",), {"use_bias": True}),
    "MultiHeadSelfAttention": Signature(("heads",), {"use_bias": True}),
    "ScaledDotProductAttention": Signature(optional={"causal": False}),
    "layers.MaxPooling2D": _POOL,
    "layers.AveragePooling2D": _POOL,
    "CountingAveragePooling2D": Signature(("pool_size",), {"counted": ((0, 0), (0, 0))}),
    "layers.GlobalAveragePooling2D": _REDUCTION,
    "AdaptiveAveragePool2D": Signature(("output_size",)),
    "keras.initializers.Constant": Signature(("value",)),
    "ops.mean": _REDUCTION,
    "ops.sum": _REDUCTION,
    "ops.max": _REDUCTION,
    "ops.min": _REDUCTION,
    "L2Norm": _REDUCTION,
    "ops.rms_normalization": Signature(optional={"axis": -1}),
    "layers.UpSampling2D": Signature(("size",)),
    "Resize2D": Signature(("size",), {"rounding": "floor"}),
    "layers.ZeroPadding2D": _PADDING,
    "ConstantPadding2D": _PADDING,
    "MinusInfinityPadding2D": _PADDING,
    "ReflectionPadding2D": _PADDING,
    "RegionMask": Signature(("regions",), {"value": -100.0}),
    "layers.Permute": Signature(("dims",)),
    "layers.Reshape": Signature(("target_shape",)),
    "ops.pad": Signature(("x", "pad_width"), kinds={"pad_width": PADDING}),
    "ops.roll": Signature(("x", "shift", "axis")),
    "layers.Cropping2D": Signature(("cropping",)),
    "LocalResponseNormalization": Signature(("size",), {"groups": 1}),
    "MapResponseNormalization": Signature(("size",)),
    "layers.BatchNormalization": _BATCH_NORM,
    "UnbiasedBatchNormalization": _BATCH_NORM,
    "layers.LayerNormalization": _LAYER_NORM,
    "AxisLayerNormalization": _LAYER_NORM,
    "layers.RMSNormalization": Signature(optional={"axis": -1}),
    "layers.GroupNormalization": Signature(("groups",), {"axis": -1, "center": True, "scale": True}),
    "LayerScale": Signature(("initial",), {"axis": -1}),
    "ChannelShuffle": Signature(("groups",), {"axis": -1}),
    "layers.Concatenate": Signature(optional={"axis": -1}),
    "layers.Softmax": Signature(optional={"axis": -1}),
    "layers.ELU": Signature(optional={"alpha": 1.0}),
    "GELU": Signature(optional={"approximate": False}),
    "Parameter": Signature(("shape",), {"initializer": "zeros", "trainable": True}),
    "layers.Dropout": Signature(("rate",)),
    "StandardDropout": Signature(("rate",)),
    "PreciseRescaling": Signature(("scale",), {"offset": 0.0}),
}
