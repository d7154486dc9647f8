"""docs/ops.md, of the ops. `python -m tests.docs.op_table > docs/ops.md` writes it; a test holds the page to it."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from netspec.cli.app import run

HEAD = """\
# The ops

What a layer's `op` can be, how many values it reads, its attributes with their defaults (one without has to be said)
and what they take, and in a sentence what it computes. `netspec ops conv2d` has the rest: shapes, weights, source, and
where frameworks differ. [The language](language.md#attributes) has how `{height, width}` and padding are written, and
what `initialize` takes.

| op | reads | attributes | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    with redirect_stdout(StringIO()) as printed:
        run(["ops", "--json"])
    return HEAD + "".join(map(_row, json.loads(printed.getvalue())))


def _row(op: dict[str, Any]) -> str:
    attributes = "<br>".join(_attribute(own) for own in op["attributes"])
    cells = (f"`{op['op']}`", op["inputs"], attributes, _escaped(op["summary"]))
    return f"| {' | '.join(cells)} |\n"


def _attribute(attribute: dict[str, Any]) -> str:
    if attribute["name"] == "initialize":  # of every op with weights, and long
        return "`initialize`"
    default = "" if attribute["required"] else f" = `{attribute['default']}`"
    return f"`{attribute['name']}`{default}: {_escaped(attribute['type'])}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
