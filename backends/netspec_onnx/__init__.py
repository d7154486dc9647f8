"""The ONNX backend: a model built directly from the graph, without tracing another framework."""

from netspec_onnx.backend import OnnxBackend

BACKEND = OnnxBackend()

__all__ = ["BACKEND", "OnnxBackend"]
