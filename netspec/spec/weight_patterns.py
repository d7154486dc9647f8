"""Checks that each pattern of `training.overrides` matches a weight: otherwise it would silently do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from netspec.graph import Graph
from netspec.spec.text.document import Entry, MappingNode, Position, Problems, quote
from netspec.spec.text.hints import did_you_mean, suggest


def positions_of_overrides(entries: Mapping[str, Entry]) -> Mapping[str, Position]:
    """The positions of the patterns in the spec's own file.

    Patterns of files that it extends are left out: other specs share them, and may have the weights they match.
    """
    training = entries["training"].value if "training" in entries else None
    node = training.entries.get("overrides") if isinstance(training, MappingNode) else None
    if node is None or not isinstance(node.value, MappingNode):
        return {}
    return {pattern: entry.at for pattern, entry in node.value.entries.items() if entry.at.source.order <= 0}


def check_overrides(places: Mapping[str, Position], graph: Graph, problems: Problems) -> None:
    """Report the patterns that match no weight of the graph."""
    weights = graph.weights if places else {}
    parts = [name.rpartition(".") for name in weights]
    patterns = dict.fromkeys(text for layer, _, weight in parts for text in (f"*.{weight}", f"{layer}.*"))
    for pattern, at in places.items():
        if pattern not in weights and not any(fnmatchcase(weight, pattern) for weight in weights):
            near = did_you_mean(pattern, patterns) if "*" in pattern else ""
            hint = near or suggest(pattern, weights, "the weights are")
            problems.add(at, f"no weight of the network has a name that fits {quote(pattern)}", hint)
