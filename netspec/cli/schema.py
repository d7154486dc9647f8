"""`netspec schema`: the JSON Schema of specs."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.console import print_json, print_out
from netspec.cli.options import FILE


@click.command(
    "schema",
    short_help="Print the JSON Schema of specs, for editors.",
    epilog="""\b
Examples:
  netspec schema --out netspec.schema.json

\b
Editors with the YAML language server (Visual Studio Code, Neovim, Emacs …)
then check and complete a spec while you type, if it begins with this line:
  # yaml-language-server: $schema=netspec.schema.json
""",
)
@click.option("--out", type=FILE, metavar="FILE", help="Write it to a file instead of stdout.")
def command(out: Path | None) -> None:
    """Print the JSON Schema of specs, in draft 7, which editors support."""
    import json

    from netspec.files import write_whole
    from netspec.spec import json_schema

    if out is None:
        print_json(json_schema())
    else:
        print_out(str(write_whole(out, json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")))
