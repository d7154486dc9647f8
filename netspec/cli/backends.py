"""`netspec backends`: what is installed, and how to get what is not."""

from __future__ import annotations

from typing import Any

import click

from netspec.cli.console import print_json, print_out, print_table
from netspec.cli.options import json_option
from netspec.cli.table import Column


@click.command(
    "backends",
    short_help="Show backends, their versions, and what is missing.",
    epilog="""\b
Examples:
  netspec backends
  netspec backends --json
""",
)
@json_option
def command(as_json: bool) -> None:
    """Show each backend with the versions found, what is missing and how to get it, and ops without a lowering."""
    from netspec.lowering import backend_names

    found = [_describe(name) for name in backend_names()]
    if as_json:
        print_json(found)
        return
    rows = []
    for backend in found:
        versions = ", ".join(f"{name} {version}" for name, version in backend["versions"].items())
        missing = f"missing: {', '.join(backend['missing'])}" if backend["missing"] else ""
        yes_no = "yes" if backend["trains"] else "no"
        rows.append(
            [backend["name"], "; ".join(filter(None, (versions, missing))), ", ".join(backend["dtypes"]), yes_no]
        )
    columns = (Column("backend"), Column("needs", fold=True), Column("computes in", fold=True), Column("gradients"))
    print_table(columns, rows)
    for backend in found:
        if backend["install"]:
            print_out(f"\n{backend['name']} is left out until: {backend['install']}")
        for op, reason in backend["unsupported"].items():
            print_out(f"\n{backend['name']} does not support {op}: {reason}")


def _describe(name: str) -> dict[str, Any]:
    from netspec.lowering import find_backend
    from netspec.ops import OPS

    backend = find_backend(name)
    missing = backend.missing()
    table = backend.lowerings
    unsupported = {
        op.kind: table.unsupported.get(op, "it has no lowering for it")
        for op in OPS.values()
        if op not in table.supported
    }
    return {
        "name": name,
        "versions": backend.versions(),
        "missing": missing,
        "install": f"pip install 'netspec[{name}]'" if missing else "",
        "dtypes": sorted(backend.dtypes),
        "trains": backend.trains,
        "unsupported": unsupported,
    }
