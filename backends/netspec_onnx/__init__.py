"""The ONNX backend: a model built from the graph itself, never by tracing another framework."""

from netspec_onnx.backend import OnnxBackend

BACKEND = OnnxBackend()

__all__ = ["BACKEND", "OnnxBackend"]
