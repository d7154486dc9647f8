"""`netspec backends`: the backends, and how to install what they need."""

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
    """Show the installed versions of each backend, what is missing, how to install it, and the unsupported ops."""
    from netspec.lowering import backend_names

    backends = [_describe(name) for name in backend_names()]
    if as_json:
        print_json(backends)
        return
    rows = []
    for backend in backends:
        versions = ", ".join(f"{name} {version}" for name, version in backend["versions"].items())
        missing = f"missing: {', '.join(backend['missing'])}" if backend["missing"] else ""
        needs = "; ".join(filter(None, (versions, missing)))
        gradients = "yes" if backend["trains"] else "no"
        rows.append([backend["name"], needs, ", ".join(backend["dtypes"]), gradients])
    columns = (Column("backend"), Column("needs", fold=True), Column("computes in", fold=True), Column("gradients"))
    print_table(columns, rows)
    for backend in backends:
        if backend["install"]:
            print_out(f"\n{backend['name']} is left out until: {backend['install']}")
        for reason in dict.fromkeys(backend["unsupported"].values()):
            ops = ", ".join(op for op, other in backend["unsupported"].items() if other == reason)
            print_out(f"\n{backend['name']} does not support {ops}: {reason}")


def _describe(name: str) -> dict[str, Any]:
    from netspec.lowering import find_backend
    from netspec.ops import OPS

    backend = find_backend(name)
    missing = backend.missing()
    table = backend.lowerings
    return {
        "name": name,
        "versions": backend.versions(),
        "missing": missing,
        "install": backend.installation if missing else "",
        "dtypes": sorted(backend.dtypes),
        "trains": backend.trains,
        "unsupported": {op.kind: table.reason(op) for op in OPS.values() if op not in table.supported},
    }
