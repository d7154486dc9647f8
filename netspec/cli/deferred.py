"""`importlib.metadata`, imported when it is used and not when a function of it is only bound to a name."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAME = "importlib.metadata"


class _Metadata(ModuleType):
    """Stands for a module until one of its attributes is used, and then gives way to it."""

    __path__ = [f"{folder}/metadata" for folder in importlib.__path__]  # noqa: RUF012 # asked for by an import of names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def entry_points(self, **chosen: Any) -> Any:
        """Those of the installed distributions, `chosen` as the module's own takes it."""
        return self._real().entry_points(**chosen)

    def _real(self) -> Any:
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return importlib.import_module(NAME)  # which is the attribute of `importlib` from then on


def defer_metadata() -> None:
    """Let pydantic bind `entry_points`, which it calls for plugins alone, without what the function is made with.

    That is the email package, zipfile and csv: a twentieth of a check.
    """
    if NAME not in sys.modules:
        sys.modules[NAME] = importlib.metadata = _Metadata(NAME)
