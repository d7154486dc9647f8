"""The output of `netspec weights import`, which accounts for every array of the file and every weight of the spec."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netspec.cli.console import GREEN, print_out, print_table, style
from netspec.cli.table import Cell, Column
from netspec.words import abbreviate, counted

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.transfer import Transfer, WeightMapping

MAX_NAMES: Final = 6  # names listed in a line of the report
COLUMNS: Final = (
    Column("theirs", fold=True),
    Column("ours", fold=True),
    Column("arrays", right=True),
    Column("weights", right=True),
)


@dataclass(frozen=True)
class Imported:
    """The weights of a file, written as those of a spec.

    Attributes:
        file: the file that was read.
        mapping: the mapping that names the model.
        model: the model whose weights they are.
        settings: the `--set` of the command.
        notes: remarks of the reader of the file.
        transfer: what became of each array.
        written: the file that was written.
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
        """The number of arrays in the file."""
        return len(self.transfer.names) + len(self.transfer.kept) + len(self.transfer.ignored)

    @property
    def spec_arguments(self) -> list[str]:
        """The spec and its settings, as arguments of a command."""
        settings = [*self.mapping.settings(self.model), *self.settings]
        return [relative_path(self.mapping.spec), *(part for setting in settings for part in ("--set", setting))]


def print_report(imported: Imported, *, unfold: bool) -> None:
    """Print the table of names, by layer or by array, notes on the other arrays of the file, and the next command."""
    transfer = imported.transfer
    graph = transfer.graph
    print_out(f"{imported.name}: {imported.file} → {shlex.join(imported.spec_arguments)}")
    print_out()
    print_table(COLUMNS, _rows(graph, transfer.names, unfold=unfold))
    print_out()
    for note in _notes(imported):
        print_out(f"note: {note}")
    print_out(f"{style('✓', GREEN)} {_summary(imported)}")
    print_out(f"  {imported.written}")
    print_out()
    print_out(f"next: {_next_command(imported)}")


def _notes(imported: Imported) -> Iterator[str]:
    """Yield a sentence for each kind of array that was not simply transferred."""
    transfer = imported.transfer
    yield from imported.notes
    if transfer.wrapper:
        yield f"the prefix {transfer.wrapper!r} of the names is removed"
    if transfer.kept:
        kinds = Counter(name.rpartition(".")[2] for name in transfer.kept)
        counts = (f"{count} {kind}" for kind, count in kinds.items())
        yield f"no weights, and left out: {abbreviate(counts, MAX_NAMES)}"
    if transfer.ignored:
        parts = abbreviate(transfer.ignored, MAX_NAMES)
        yield f"of parts that {transfer.graph.name} does not have, and left out: {parts}"
    if transfer.constants:
        values = (f"{name} = {value:g}" for name, value in transfer.constants.items())
        yield f"not in {imported.mapping.origin}, and set to a constant: {abbreviate(values, MAX_NAMES)}"


def _rows(graph: Graph, names: Mapping[str, str], *, unfold: bool) -> list[list[Cell]]:
    """Return a row for each block and each layer outside of blocks, or with `unfold` for each array."""
    blocks = {scope.path for scope in graph.scopes if not scope.is_stack}
    groups: dict[str, list[str]] = {}
    order = {name: index for index, name in enumerate(graph.weights)}
    for theirs, ours in sorted(names.items(), key=lambda pair: order[pair[1]]):
        groups.setdefault(ours if unfold else _outermost(ours, blocks), []).append(theirs)
    rows: list[list[Cell]] = []
    for group, members in groups.items():
        size = sum(graph.weights[names[name]].size for name in members)
        first = members[0]
        pair = (first, names[first]) if len(members) == 1 else (_common_name(members), group)
        rows.append([*pair, len(members), size])
    return rows


def _outermost(weight: str, blocks: set[str]) -> str:
    """Return the path of the outermost block around a weight, or of its layer if it is in no block."""
    from netspec.graph.scopes import ancestors, parent_of

    return next((path for path in ancestors(weight) if path in blocks), parent_of(weight))


def _common_name(names: Sequence[str]) -> str:
    """Return the layer of several weights, or the common prefix of their layers, or all of their layers.

    >>> _common_name(["conv1.weight", "conv1.bias"]), _common_name(["layer1.0.conv1.weight", "layer1.0.bn1.bias"])
    ('conv1', 'layer1.0.*')
    >>> _common_name(["a.weight", "b.weight"])
    'a, b'
    """
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    if len(layers) == 1:
        return layers[0]
    pairs = zip(min(layers), max(layers), strict=False)  # the first and the last in order share the prefix of all
    prefix = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    end = 1 + max(prefix.rfind(separator) for separator in "._/")
    return f"{prefix[:end]}*" if end else abbreviate(layers, MAX_NAMES)


def _summary(imported: Imported) -> str:
    transfer = imported.transfer
    left_out = len(transfer.kept) + len(transfer.ignored)
    parts = f"{len(transfer.names):,} transferred" + (f", {left_out:,} left out" if left_out else "")
    numbers = sum(array.size for array in transfer.weights.values())
    return (
        f"all {counted(imported.arrays, 'array')} of {imported.file.name} accounted for: {parts}; "
        f"all {len(transfer.weights):,} of {transfer.graph.name} written, {numbers:,} weights"
    )


def _next_command(imported: Imported) -> str:
    inputs = imported.transfer.graph.inputs
    if len(inputs) == 1 and inputs[0].preprocessing is not None:
        command = ["run", *imported.spec_arguments, "PHOTO"]
    else:
        command = ["build", *imported.spec_arguments, "--backend", "torch"]
    return shlex.join(["netspec", *command, "--weights", str(imported.written)])


def report_as_json(imported: Imported) -> dict[str, Any]:
    """Return the report for JSON, with every name in full."""
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


def relative_path(path: Path) -> str:
    """Return a path relative to the current folder if it lies below it, otherwise as it is."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
