"""A backend's own layers, written by hand as real modules, and copied whole into what it emits."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from netspec.lowering.python.rewrite import names_in_body
from netspec.lowering.python.source import Class, Definition, Function, Verbatim


@dataclass(frozen=True, slots=True)
class Support:
    """The import lines of a support module, the text of all that follows them, and the names that it defines."""

    imports: tuple[str, ...]
    definitions: Verbatim
    names: tuple[str, ...]


@cache
def read_support(package: str, module: str) -> Support:
    """Read `package/support/module.py` as text: the framework that it imports is not imported here.

    The module is a docstring, imports, then classes and functions; only the last two reach emitted source.
    """
    text = (resources.files(package) / "support" / f"{module}.py").read_text(encoding="utf-8")
    imports, names, last = [], [], 0
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.append(ast.unparse(statement))
            last = statement.end_lineno or last
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
            names.append(statement.name)
    definitions = "\n".join(text.splitlines()[last:]).strip("\n")
    return Support(tuple(imports), Verbatim(definitions), tuple(names))


def import_groups(lines: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Import lines without repetition, standard library first, merged, grouped and ordered as isort does.

    >>> import_groups(["from torch import nn", "import math", "from torch import Tensor", "import torch"])
    (('import math',), ('import torch', 'from torch import Tensor, nn'))
    """
    plain: set[str] = set()
    taken: dict[str, set[str]] = {}
    for statement in ast.parse("\n".join(lines)).body:
        match statement:
            case ast.Import():
                plain.add(ast.unparse(statement))
            case ast.ImportFrom(module=str(module), names=names):
                taken.setdefault(module, set()).update(map(ast.unparse, names))
    merged = [f"from {module} import {', '.join(sorted(names, key=_order))}" for module, names in taken.items()]
    groups: tuple[list[str], list[str]] = ([], [])
    for line in (*sorted(plain, key=str.lower), *sorted(merged, key=str.lower)):
        groups[line.split()[1].split(".")[0] not in sys.stdlib_module_names].append(line)
    return tuple(tuple(group) for group in groups if group)


def _order(imported: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as isort orders what is taken from one module."""
    return (0 if imported.isupper() and len(imported) > 1 else 1 if imported[0].isupper() else 2, imported)


def used_imports(candidates: Mapping[str, str], definitions: Iterable[Definition]) -> list[str]:
    """The import lines of those names that emitted definitions use; support code, copied whole, brings its own.

    >>> from netspec.lowering.python.source import Do, Function, call
    >>> made = Function("make", ("x: Tensor",), (Do(call("self.F", call("nn.ReLU"))),))
    >>> used_imports({"nn": "from torch import nn", "F": "import F", "Tensor": "from torch import Tensor"}, [made])
    ['from torch import nn', 'from torch import Tensor']
    """
    used = {path.partition(".")[0] for definition in definitions for path in _paths_in(definition)}
    return [line for symbol, line in candidates.items() if symbol in used]


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
