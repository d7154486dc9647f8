"""The docstring of a package with many files is a map of them: each is named in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

NETSPEC = Path(__file__).parents[2] / "netspec"
MAPPED = (
    *("graph", "lowering/blocks", "lowering/python", "spec", "spec/expressions", "spec/layers"),
    *("training", "training/data", "verify"),
)


@pytest.mark.parametrize("package", MAPPED)
def test_a_map_names_every_file(package: str) -> None:
    folder = NETSPEC / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = set(re.findall(r"`(\w+)`", text))
    files = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {name for name in files if not name.startswith("_")} - named == set()
