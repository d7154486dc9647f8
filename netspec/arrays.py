"""NumPy, imported lazily: `netspec check` needs no arrays, and importing NumPy would be a third of its start-up time.

Modules that `netspec check` imports write `from netspec.arrays import np` in place of `import numpy as np`.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["np"]


def _deferred(name: str) -> ModuleType:
    """Return the module if it is loaded, else a module that loads itself at the first access to an attribute."""
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
