"""What PyTorch raises in a step that is no defect: a batch that is too large for the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netspec.errors import BackendError


@contextmanager
def mistakes_told(device: str) -> Iterator[None]:
    """Within it, what the recipe can mend is raised as a BackendError.

    PyTorch has a class of its own for the memory of a GPU alone: the rest is known by words of its messages.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)):
            raise
        raise BackendError(
            f"{device} does not have the memory for this batch",
            "halve training.batch_size and double training.accumulate: the step stays the same",
        ) from error
