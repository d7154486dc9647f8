"""NumPy, loaded when it is first used: a spec is checked without an array, and NumPy would be a third of the start.

`from netspec.arrays import np` stands for `import numpy as np` in modules that a check imports.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["np"]


def _deferred(name: str) -> ModuleType:
    """The module if it is loaded, else one that loads itself when an attribute of it is asked for."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"netspec needs {name}", name=name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    import numpy as np
else:
    np = _deferred("numpy")
