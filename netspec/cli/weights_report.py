"""What `netspec weights import` tells: every array of the file, and every weight of the spec, accounted for."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netspec.cli.console import GREEN, print_out, print_table, style
from netspec.cli.table import Cell, Column
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.transfer import Transfer, WeightMapping

LISTED: Final = 6  # names in a line of the report
COLUMNS: Final = (
    Column("theirs", fold=True),
    Column("ours", fold=True),
    Column("arrays", right=True),
    Column("weights", right=True),
)


@dataclass(frozen=True)
class Imported:
    """A file's weights, written as a spec's.

    Attributes:
        file: what was read.
        mapping: that has the model.
        model: whose weights they are.
        settings: of the spec, as the user gave them.
        notes: of the file's reader.
        transfer: what became of each array.
        written: where the weights are now.
    """

    file: Path
    mapping: WeightMapping
    model: str
    settings: Sequence[str]
    notes: Sequence[str]
    transfer: Transfer
    written: Path

    @property
    def name(self) -> str:
        """`ORIGIN:MODEL`."""
        return f"{self.mapping.origin}:{self.model}"

    @property
    def arrays(self) -> int:
        """How many there are in the file."""
        return len(self.transfer.names) + len(self.transfer.kept) + len(self.transfer.ignored)

    @property
    def spec_arguments(self) -> list[str]:
        """The spec and its settings, as a command takes them."""
        settings = [*self.mapping.settings(self.model), *self.settings]
        return [near(self.mapping.spec), *(part for setting in settings for part in ("--set", setting))]


def print_report(imported: Imported, *, unfold: bool) -> None:
    """What became what, layer by layer or array by array; what else the file held; what to do next."""
    transfer = imported.transfer
    graph = transfer.graph
    print_out(f"{imported.name}: {imported.file} → {shlex.join(imported.spec_arguments)}")
    print_out()
    print_table(COLUMNS, _rows(graph, transfer.names, unfold=unfold))
    print_out()
    for note in _notes(imported):
        print_out(f"note: {note}")
    print_out(f"{style('✓', GREEN)} {_sum(imported)}")
    print_out(f"  {imported.written}")
    print_out()
    print_out(f"next: {_next_command(imported)}")


def _notes(imported: Imported) -> Iterator[str]:
    """What was done beside the transfer, and what was left out, a sentence each."""
    transfer = imported.transfer
    yield from imported.notes
    if transfer.wrapper:
        yield f"{transfer.wrapper!r}, which stands before the names, is taken off"
    if transfer.kept:
        kinds = Counter(name.rpartition(".")[2] for name in transfer.kept)
        yield f"no weights, and left out: {_listed(f'{count} {kind}' for kind, count in kinds.items())}"
    if transfer.ignored:
        yield f"of parts that {transfer.graph.name} does not have, and left out: {_listed(transfer.ignored)}"
    if transfer.constants:
        values = (f"{name} = {value:g}" for name, value in transfer.constants.items())
        yield f"not in {imported.mapping.origin}, and so set: {_listed(values)}"


def _rows(graph: Graph, names: Mapping[str, str], *, unfold: bool) -> list[list[Cell]]:
    """A row for each array, or for each layer that stands in no block, and each block."""
    blocks = {scope.path for scope in graph.scopes if not scope.is_stack}
    groups: dict[str, list[str]] = {}
    order = {name: place for place, name in enumerate(graph.weights)}
    for theirs, ours in sorted(names.items(), key=lambda pair: order[pair[1]]):
        groups.setdefault(ours if unfold else _outermost(ours, blocks), []).append(theirs)
    rows: list[list[Cell]] = []
    for group, members in groups.items():
        numbers = sum(graph.weights[names[name]].size for name in members)
        first = members[0]
        pair = (first, names[first]) if len(members) == 1 else (_stem(members), group)
        rows.append([*pair, len(members), numbers])
    return rows


def _outermost(weight: str, blocks: set[str]) -> str:
    """The outermost block that a weight is in, or its layer."""
    from netspec.graph.scopes import ancestors, parent_of

    return next((path for path in ancestors(weight) if path in blocks), parent_of(weight))


def _stem(names: Sequence[str]) -> str:
    """What names of weights have in common: their layer, or the beginning of their layers'.

    >>> _stem(["conv1.weight", "conv1.bias"]), _stem(["layer1.0.conv1.weight", "layer1.0.bn1.bias"])
    ('conv1', 'layer1.0.*')
    >>> _stem(["a.weight", "b.weight"])
    'a, b'
    """
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    if len(layers) == 1:
        return layers[0]
    alike = takewhile(lambda letters: letters[0] == letters[1], zip(min(layers), max(layers), strict=False))
    common = "".join(letter for letter, _ in alike)
    end = 1 + max(common.rfind(separator) for separator in "._/")
    return f"{common[:end]}*" if end else _listed(layers)


def _sum(imported: Imported) -> str:
    transfer = imported.transfer
    left = len(transfer.kept) + len(transfer.ignored)
    parts = f"{len(transfer.names):,} transferred" + (f", {left:,} left out" if left else "")
    numbers = sum(array.size for array in transfer.weights.values())
    return (
        f"all {counted(imported.arrays, 'array')} of {imported.file.name} accounted for: {parts}; "
        f"all {len(transfer.weights):,} of {transfer.graph.name} written, {numbers:,} weights"
    )


def _next_command(imported: Imported) -> str:
    inputs = imported.transfer.graph.inputs
    if len(inputs) == 1 and inputs[0].preprocessing is not None:
        words = ["run", *imported.spec_arguments, "PHOTO"]
    else:
        words = ["build", *imported.spec_arguments, "--backend", "torch"]
    return shlex.join(["netspec", *words, "--weights", str(imported.written)])


def report_as_json(imported: Imported) -> dict[str, Any]:
    """All of the report, every name on its own."""
    transfer = imported.transfer
    return {
        "model": imported.name,
        "file": str(imported.file),
        "mapping": str(imported.mapping.path),
        "spec": str(imported.mapping.spec),
        "settings": [*imported.mapping.settings(imported.model), *imported.settings],
        "written": str(imported.written),
        "notes": list(imported.notes),
        "arrays": imported.arrays,
        "weights": len(transfer.weights),
        "transferred": dict(transfer.names),
        "kept": list(transfer.kept),
        "ignored": list(transfer.ignored),
        "constants": dict(transfer.constants),
    }


def near(path: Path) -> str:
    """A path as a person would type it: seen from here, where it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join([*every[:LISTED], *([f"{len(every) - LISTED} more"] if len(every) > LISTED else [])])
