"""A stand-in for `importlib.metadata` that imports the module on first use, not on `from … import entry_points`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAME = "importlib.metadata"


class _LazyMetadata(ModuleType):
    """Stands in for the module until one of its attributes is used, then replaces itself by the module."""

    __path__ = [f"{folder}/metadata" for folder in importlib.__path__]  # noqa: RUF012 # read by `from … import name`

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def entry_points(self, **params: Any) -> Any:
        """Return the entry points of the installed distributions, with the parameters of the real function."""
        return self._load().entry_points(**params)

    def _load(self) -> Any:
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return importlib.import_module(NAME)  # also sets the attribute `importlib.metadata`


def defer_metadata() -> None:
    """Install the stand-in, unless the module is imported already.

    pydantic imports `entry_points` but calls it only for plugins. The module imports the email package, zipfile and
    csv, which take a twentieth of the time of a check.
    """
    if NAME not in sys.modules:
        sys.modules[NAME] = importlib.metadata = _LazyMetadata(NAME)
