"""The signatures of Keras layers match Keras, and instances of a block that differ in an option share a function."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from netspec_keras import BACKEND
from netspec_keras.signatures import SIGNATURES
from netspec_keras.support.dilated_depthwise_convolution import DilatedDepthwiseConv2D

from tests.backends.signature_checks import check_signatures, lower_instances


def test_every_optional_argument_is_listed() -> None:
    check_signatures(
        BACKEND,
        SIGNATURES,
        lambda called: called.startswith(("layers.", "ops.")) or called[0].isupper(),
        DilatedDepthwiseConv2D=DilatedDepthwiseConv2D,
    )


@pytest.mark.parametrize(
    ("layer", "type", "values"),
    [
        ("conv_transpose2d, filters: 4, kernel_size: 3, padding: 1, bias: '${v}'", "boolean", ("true", "false")),
        ("conv_transpose2d, filters: 4, kernel_size: 1, groups: '${v}'", "integer", ("2", "4")),
        (
            "avg_pool2d, kernel_size: 3, stride: 2, padding: 1, round: ceil, divisor: '${v}'",
            "string",
            ("window_in_padded", "valid_only"),
        ),
        (
            "local_response_norm, size: 3, alpha: 1, beta: 0.5, k: 1, convention: sum, groups: '${v}'",
            "integer",
            ("1", "2"),
        ),
        ("instance_norm, affine: '${v}'", "boolean", ("true", "false")),
        ("softmax, axis: '${v}'", "integer", ("1", "2")),
        ("scaled_dot_product_attention, inputs: [input, input, input], causal: '${v}'", "boolean", ("true", "false")),
        ("elu, alpha: '${v}'", "number", ("1.0", "0.5")),
        ("gelu, form: '${v}'", "string", ("erf", "tanh")),
        ("stochastic_depth, rate: 0.2, mode: '${v}'", "string", ("row", "batch")),
    ],
)
def test_instances_that_differ_in_an_option_share_a_function(
    layer: str, type: str, values: tuple[str, str], tmp_path: Path
) -> None:
    source = lower_instances(BACKEND, layer, type, values, tmp_path)
    assert re.findall(r"def (unit\w*)\(", source) == ["unit"]
