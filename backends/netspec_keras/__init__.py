"""The Keras backend: a functional, channels-last Keras 3 model as source that needs keras alone."""

from netspec_keras.backend import KerasBackend

BACKEND = KerasBackend()

__all__ = ["BACKEND", "KerasBackend"]
