from netspec_keras import BACKEND

from netspec.testing.conformance import BackendConformance


class TestKeras(BackendConformance):
    backend = BACKEND
