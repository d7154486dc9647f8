"""The error of a batch that is too large for the memory, which the user can fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netspec.lowering.trainer import out_of_memory


@contextmanager
def explain_out_of_memory(device: str) -> Iterator[None]:
    """Re-raise out-of-memory errors as a BackendError with a hint.

    PyTorch has an error class for GPU memory only; that of a CPU is recognized by its message.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)):
            raise
        raise out_of_memory(device) from error
