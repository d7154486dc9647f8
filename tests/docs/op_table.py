"""Generates docs/ops.md: `python -m tests.docs.op_table > docs/ops.md`. A test checks that the page is up to date."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from netspec.cli.app import run

HEAD = """\
# The ops

Each value of a layer's `op`, the number of values that it reads, its attributes with their defaults (one without a
default is required), and what it computes. `netspec ops conv2d` shows the details: values of each attribute, shapes,
weights, source, and differences between frameworks. [The language](language.md#attributes) explains how sizes and
paddings are written, and [what `initialize` takes](language.md#initial-weights).

| op | reads | attributes | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    with redirect_stdout(StringIO()) as printed:
        run(["ops", "--json"])
    return HEAD + "".join(map(_row, json.loads(printed.getvalue())))


def _row(op: dict[str, Any]) -> str:
    attributes = ", ".join(map(_attribute, op["attributes"]))
    cells = (f"`{op['op']}`", op["inputs"], attributes, _escaped(op["summary"]))
    return f"| {' | '.join(cells)} |\n"


def _attribute(attribute: dict[str, Any]) -> str:
    """Return the name and default of an attribute, and its choices if it has some."""
    default = "" if attribute["required"] or attribute["name"] == "initialize" else f"={attribute['default']}"
    choices = f" ({_escaped(attribute['type'])})" if " | " in attribute["type"] else ""
    return f"`{attribute['name']}{default}`{choices}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
