"""Executing emitted source as a module that tracebacks and `inspect.getsource` can show."""

from __future__ import annotations

import hashlib
import linecache
import sys
import types


def load_source(source: str, name: str) -> types.ModuleType:
    """Execute emitted source as a new module.

    The module is registered in `sys.modules` and its text in `linecache`, under a name that includes a hash of the
    text: the same source gives the same module.

    Args:
        source: Python source that a backend emitted.
        name: the name of the file that it would be written to, without `.py`.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    module_name = f"netspec_emitted.{name}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    filename = f"<netspec {name}.py {digest}>"
    module = types.ModuleType(module_name)
    module.__file__ = filename
    # linecache.checkcache never drops an entry without a modification time.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.modules[module_name] = module
    try:
        exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 # the product is this source
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
