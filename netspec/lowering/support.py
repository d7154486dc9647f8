"""Support modules: a backend's handwritten layers, whose source is copied verbatim into emitted modules."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from netspec.lowering.python.definitions import Class, Definition, Function, Verbatim
from netspec.lowering.python.rewrite import names_in_body


@dataclass(frozen=True, slots=True)
class Support:
    """The import lines of a support module, the source that follows them, and the names that both bind."""

    imports: tuple[str, ...]
    definitions: Verbatim
    names: tuple[str, ...]


@cache
def read_support(package: str, module: str) -> Support:
    """Read `package/support/module.py` as text, without importing it or its framework.

    The module consists of a docstring, imports, then classes and functions. The docstring is not copied.
    """
    data = pkgutil.get_data(package, f"support/{module}.py")
    if data is None:
        raise FileNotFoundError(f"{package} has no module support/{module}.py")
    text = data.decode()
    head = text.partition("\n\n\n")[0]  # two blank lines are before the first class or function
    imports = [statement for statement in ast.parse(head).body if isinstance(statement, ast.Import | ast.ImportFrom)]
    last = max((statement.end_lineno or 0 for statement in imports), default=0)
    definitions = "\n".join(text.splitlines()[last:]).strip("\n")
    imported = [(alias.asname or alias.name).partition(".")[0] for statement in imports for alias in statement.names]
    defined = re.findall(r"^(?:class |def |(?=\w+ =))(\w+)", definitions, re.MULTILINE)
    return Support(tuple(map(ast.unparse, imports)), Verbatim(definitions), (*imported, *defined))


def support_modules(package: str) -> dict[str, str]:
    """The support module of a package that defines each class or function, by its name; private ones are left out."""
    spec = importlib.util.find_spec(f"{package}.support")
    folders = spec.submodule_search_locations if spec is not None else None
    modules = [module.name for module in pkgutil.iter_modules(folders or ())]
    names = {name: module for module in modules for name in read_support(package, module).names}
    return {name: module for name, module in names.items() if not name.startswith("_")}


def import_groups(lines: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Merge import lines and group them as isort does, the standard library first.

    >>> import_groups(["from torch import nn", "import math", "from torch import Tensor", "import torch"])
    (('import math',), ('import torch', 'from torch import Tensor, nn'))
    """
    plain: set[str] = set()
    names_by_module: dict[str, set[str]] = {}
    for statement in ast.parse("\n".join(lines)).body:
        match statement:
            case ast.Import():
                plain.add(ast.unparse(statement))
            case ast.ImportFrom(module=str(module), names=names):
                names_by_module.setdefault(module, set()).update(map(ast.unparse, names))
    merged = [
        f"from {module} import {', '.join(sorted(names, key=_order))}" for module, names in names_by_module.items()
    ]
    standard: list[str] = []
    installed: list[str] = []
    for line in (*sorted(plain, key=str.lower), *sorted(merged, key=str.lower)):
        module = line.split()[1].partition(".")[0]
        (standard if module in sys.stdlib_module_names else installed).append(line)
    return tuple(tuple(group) for group in (standard, installed) if group)


def _order(imported: str) -> tuple[int, str]:
    """The sort key of a name imported from a module, as in isort: constants, then classes, then the rest."""
    return (0 if imported.isupper() and len(imported) > 1 else 1 if imported[0].isupper() else 2, imported)


def used_imports(candidates: Mapping[str, str], definitions: Iterable[Definition]) -> list[str]:
    """The import lines of the names that emitted definitions use. Support code is skipped: it has its own imports.

    >>> from netspec.lowering.python.definitions import Function
    >>> from netspec.lowering.python.source import call
    >>> from netspec.lowering.python.statements import Do
    >>> function = Function("make", ("x: Tensor",), (Do(call("self.F", call("nn.ReLU"))),))
    >>> used_imports({"nn": "from torch import nn", "F": "import F", "Tensor": "from torch import Tensor"}, [function])
    ['from torch import nn', 'from torch import Tensor']
    """
    used = {path.partition(".")[0] for definition in definitions for path in _paths_in(definition)}
    return [line for name, line in candidates.items() if name in used]


def _paths_in(definition: Definition) -> Iterator[str]:
    """The names and dotted paths that a class or function reads."""
    match definition:
        case Class(base=base, body=methods):
            yield base
            for method in methods:
                yield from _paths_in(method)
        case Function(name, parameters, body, returns):
            signature = ast.parse(f"def {name}({', '.join(parameters)}) -> {returns or None}: ...")
            yield from (node.id for node in ast.walk(signature) if isinstance(node, ast.Name))
            yield from names_in_body(body)
