"""The error of a batch that is too large for the memory, which the user can fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from netspec.errors import BackendError


@contextmanager
def explain_out_of_memory(device: str) -> Iterator[None]:
    """Re-raise TensorFlow's out-of-memory errors as a BackendError with a hint."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise BackendError(
            f"{device} does not have the memory for this batch",
            "halve training.batch_size and double training.accumulate: the step stays the same",
        ) from error
