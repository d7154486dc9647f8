"""The error of a batch that is too large for the memory, which the user can fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from netspec.lowering.trainer import out_of_memory


@contextmanager
def explain_out_of_memory(device: str) -> Iterator[None]:
    """Re-raise TensorFlow's out-of-memory errors as a BackendError with a hint."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise out_of_memory(device) from error
