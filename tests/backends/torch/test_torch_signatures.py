"""The signatures of torch layers match torch, and instances of a block that differ in an option share a class."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from netspec_torch import BACKEND
from netspec_torch.signatures import SIGNATURES
from netspec_torch.support.conv2d import PaddedConv2d

from tests.backends.signature_checks import check_signatures, lower_instances


def _is_layer(called: str) -> bool:
    """Whether a path is that of a layer. Functions are not required to be listed."""
    return called.startswith("nn.") or (called[0].isupper() and not called.startswith("F."))


def test_every_optional_argument_is_listed() -> None:
    check_signatures(BACKEND, SIGNATURES, _is_layer, PaddedConv2d=PaddedConv2d)


@pytest.mark.parametrize(
    ("layer", "type", "values"),
    [
        ("conv_transpose2d, filters: 4, kernel_size: 3, padding: 1, bias: '${v}'", "boolean", ("true", "false")),
        ("max_pool2d, kernel_size: 3, stride: 1, padding: '${v}'", "integer", ("0", "1")),
        ("max_pool2d, kernel_size: 2, stride: 2, round: '${v}'", "string", ("floor", "ceil")),
        ("avg_pool2d, kernel_size: 3, stride: 1, padding: 1, divisor: '${v}'", "string", ("window", "valid_only")),
        (
            "local_response_norm, size: 3, alpha: 1, beta: 0.5, k: 1, convention: sum, groups: '${v}'",
            "integer",
            ("1", "2"),
        ),
        ("scaled_dot_product_attention, inputs: [input, input, input], causal: '${v}'", "boolean", ("true", "false")),
        ("instance_norm, affine: '${v}'", "boolean", ("true", "false")),
        ("layer_norm, axes: [1], affine: '${v}'", "boolean", ("true", "false")),
        ("stochastic_depth, rate: 0.2, mode: '${v}'", "string", ("row", "batch")),
        (
            "resize, size: 4, mode: nearest, coordinates: align_corners, rounding: '${v}'",
            "string",
            ("ceil", "floor"),
        ),
    ],
)
def test_instances_that_differ_in_an_option_share_a_class(
    layer: str, type: str, values: tuple[str, str], tmp_path: Path
) -> None:
    source = lower_instances(BACKEND, layer, type, values, tmp_path)
    assert re.findall(r"class (Unit\w*)\(", source) == ["Unit"]
