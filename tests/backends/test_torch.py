from netspec_torch import BACKEND

from netspec.testing.conformance import BackendConformance


class TestTorch(BackendConformance):
    backend = BACKEND
