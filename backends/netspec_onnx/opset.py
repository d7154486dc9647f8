"""The supported operator sets, and the IR version of each."""

from __future__ import annotations

from functools import cache
from typing import Final

from netspec.errors import BackendError

OLDEST_OPSET: Final = 13
# Supported since onnxruntime 1.14 (2023), and written by PyTorch's exporter. It is the first in which `Resize` works
# with a free batch, which takes a quarter of the time of its replacement in older opsets.
DEFAULT_OPSET: Final = 18


@cache
def newest_opset() -> int:
    """The newest operator set that the installed onnx and onnxruntime both support.

    onnxruntime does not report which it supports, but fails to load a model with another one.
    """
    import onnx
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    for opset in range(onnx.defs.onnx_opset_version(), DEFAULT_OPSET, -1):
        try:
            onnxruntime.InferenceSession(_smallest_model(opset), providers=["CPUExecutionProvider"])
        except Fail:
            continue
        return opset
    return DEFAULT_OPSET


def check_opset(opset: object) -> int:
    """Return the opset if the installed versions support it.

    Raises:
        BackendError: the opset is not supported, or not an integer.
    """
    if type(opset) is int and OLDEST_OPSET <= opset <= DEFAULT_OPSET:
        return opset  # without loading onnxruntime
    newest = newest_opset()
    if type(opset) is int and OLDEST_OPSET <= opset <= newest:
        return opset
    raise BackendError(
        f"the onnx backend does not support opset {opset!r}; expected {OLDEST_OPSET} to {newest}",
        f"the upper end is what the installed onnx and onnxruntime both know; {DEFAULT_OPSET} runs nearly everywhere",
    )


def ir_version_of(opset: int) -> int:
    """The oldest IR version that supports this operator set, and so the most portable."""
    import onnx

    version: int = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    return version


def _smallest_model(opset: int) -> bytes:
    import onnx

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "smallest", [x], [y])
    imports = [onnx.helper.make_opsetid("", opset)]
    content: bytes = onnx.helper.make_model(
        graph, opset_imports=imports, ir_version=ir_version_of(opset)
    ).SerializeToString()
    return content
