"""Augmentation of the pixels of a crop: operations, policies that choose among them, and random erasing."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from netspec.training.data.findings import needed_for


@cache
def load_operations() -> ModuleType:
    """Import `netspec.training.data.augment.operations`, which needs Pillow.

    Raises:
        NetspecError: Pillow is not installed.
    """
    with needed_for("the augmentation of pixels"):
        from netspec.training.data.augment import operations  # noqa: PLC0415 # only for recipes that need it
    return operations
