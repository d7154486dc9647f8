from netspec_onnx import BACKEND

from netspec.testing.conformance import BackendConformance


class TestOnnx(BackendConformance):
    backend = BACKEND
