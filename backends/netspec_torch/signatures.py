"""The signatures of torch's layers: names of positional arguments, and defaults of optional ones.

With these, instances of a block that differ in an argument share a class, which has it as a parameter. If a layer is
not listed, they share one only if the argument is at the same position in each. Arguments whose default is None are not
listed: None marks a parameter as required.
"""

from typing import Final

from netspec.lowering.blocks.template import Signature

_CONVOLUTION: Final = Signature(
    ("in_channels", "out_channels"),
    {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True},
)
_NORM: Final = Signature(("num_features",), {"eps": 1e-5, "momentum": 0.1, "affine": True})
_INSTANCE_NORM: Final = Signature(("num_features",), {"eps": 1e-5, "affine": False})
SIGNATURES: Final = {
    "F.pad": Signature(("input", "pad")),
    "F.scaled_dot_product_attention": Signature(optional={"is_causal": False}),
    "mask_regions": Signature(("scores", "regions"), {"value": -100.0}),
    "nn.Conv2d": _CONVOLUTION,
    "PaddedConv2d": _CONVOLUTION,
    "nn.ConvTranspose2d": Signature(
        ("in_channels", "out_channels"),
        {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1},
    ),
    "nn.Linear": Signature(("in_features", "out_features"), {"bias": True}),
    "GroupedLinear": Signature(("in_features", "out_features"), {"bias": True}),
    "nn.MultiheadAttention": Signature(("embed_dim", "num_heads"), {"bias": True}),
    "nn.MaxPool2d": Signature(optional={"padding": 0, "ceil_mode": False}),
    "nn.AvgPool2d": Signature(optional={"padding": 0, "ceil_mode": False, "count_include_pad": True}),
    "PaddedAvgPool2d": Signature(optional={"overhang": (0, 0), "count_include_pad": True}),
    "nn.AdaptiveAvgPool2d": Signature(("output_size",)),
    "Resize2d": Signature(("size",), {"rounding": "floor"}),
    "LocalResponseNorm": Signature(optional={"groups": 1}),
    "nn.BatchNorm1d": _NORM,
    "nn.BatchNorm2d": _NORM,
    "nn.BatchNorm3d": _NORM,
    "BiasedBatchNorm": _NORM,
    "nn.LayerNorm": Signature(("normalized_shape",), {"eps": 1e-5, "elementwise_affine": True}),
    "LayerNormOverAxes": Signature(("normalized_shape",), {"eps": 1e-5, "elementwise_affine": True}),
    "nn.RMSNorm": Signature(("normalized_shape",), {"elementwise_affine": True}),
    "RMSNormOverAxes": Signature(("normalized_shape",), {"elementwise_affine": True}),
    "nn.GroupNorm": Signature(("num_groups", "num_channels"), {"eps": 1e-5, "affine": True}),
    "nn.InstanceNorm1d": _INSTANCE_NORM,
    "nn.InstanceNorm2d": _INSTANCE_NORM,
    "nn.InstanceNorm3d": _INSTANCE_NORM,
    "nn.PReLU": Signature(("num_parameters",)),
    "torch.tensor": Signature(("data",)),
    "StochasticDepth": Signature(optional={"mode": "row"}),
}
# The methods of tensors that emitted source calls, by name.
METHODS: Final = {
    ".permute": Signature(together="dims"),
    ".roll": Signature(("shifts", "dims")),
}
