"""Arrays under the names of their origin → canonical weights of a spec, every name of either side accounted for."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from netspec.errors import WeightsError
from netspec.graph import Graph, Node
from netspec.ops.base import Array
from netspec.spec import elaborate, read_spec
from netspec.spec.expressions.expression import ExpressionError, Value, evaluate_text
from netspec.transfer.mapping import Rule, WeightMapping
from netspec.transfer.origins import ORIGINS, Origin
from netspec.weights import CanonicalWeights

SHOWN: Final = 20  # problems of a kind in one message


@dataclass(frozen=True)
class Transfer:
    """What became of a file's arrays.

    Attributes:
        graph: the spec's, with the model's parameters.
        weights: every weight of the graph.
        names: theirs → ours.
        ignored: theirs that a rule of the mapping leaves out.
        kept: theirs that are no weights, such as counters of batches.
        constants: ours that the origin lacks, and their value.
        wrapper: what stood before their names, and is taken off in `names`, `ignored` and `kept`: `model.`.
    """

    graph: Graph
    weights: CanonicalWeights
    names: Mapping[str, str]
    ignored: tuple[str, ...]
    kept: tuple[str, ...]
    constants: Mapping[str, float]
    wrapper: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """A weight of ours by node and short name; None for what is no weight."""

    node: str
    weight: str | None


def transfer(
    mapping: WeightMapping, model: str, arrays: Mapping[str, Array], overrides: Sequence[str] = ()
) -> Transfer:
    """The weights of a model as those of the mapping's spec.

    Args:
        mapping: how the model's family is named where it comes from.
        model: one of its models.
        arrays: as they are named and laid out there.
        overrides: `classes=10`, parameters of the spec in which these weights are not the published model's.

    Raises:
        SpecError: the mapping's spec cannot be compiled.
        WeightsError: a name is left over on either side or means two things, or an array has another shape, is not of
            floating-point numbers or not finite.
    """
    spec = read_spec(mapping.spec, [*mapping.settings(model), *overrides])
    graph = elaborate(spec)
    wrapper = _wrapper(mapping, model, graph, list(arrays))
    beside = {name for name in arrays if not name.startswith(wrapper)}
    arrays = {name.removeprefix(wrapper): array for name, array in arrays.items()}
    ignored = tuple(name for name in arrays if any(p.match(name) is not None for p in mapping.ignored))
    targets = _targets(mapping, model, graph, [name for name in arrays if name not in set(ignored)])
    names = {name: f"{t.node}.{t.weight}" for name, t in targets.items() if t.weight is not None}
    constants = {
        ours: value
        for ours in graph.weights.keys() - set(names.values())
        for pattern, value in mapping.constants
        if pattern.match(ours) is not None
    }
    left = [name for name in arrays if name not in targets and name not in ignored]
    part = wrapper.rstrip(".") if left and beside.issuperset(left) else ""
    _check_accounts(mapping, model, graph, names, left, constants, part)
    weights = _convert(graph, ORIGINS[mapping.origin], targets, arrays, spec.parameters)
    weights |= {n: np.full(graph.weights[n].shape, value, np.float32) for n, value in constants.items()}
    return Transfer(
        graph=graph,
        weights={name: weights[name] for name in graph.weights},
        names=names,
        ignored=ignored,
        kept=tuple(name for name, target in targets.items() if target.weight is None),
        constants={name: constants[name] for name in graph.weights if name in constants},
        wrapper=wrapper,
    )


def _wrapper(mapping: WeightMapping, model: str, graph: Graph, names: Sequence[str]) -> str:
    """What a program that holds the model as a part of its own puts before the names: `model.`, of Lightning's files.

    It is one where no name is of a rule as it stands, and some are without their first part, which most have; or
    without several, each of which most of those have that are left: `model._orig_mod.`.
    """
    wrapper, inner = "", list(names)
    while not any(True for name in inner for _ in _candidates(mapping, model, graph, name)):
        firsts = Counter(name.partition(".")[0] + "." for name in inner if "." in name)
        first = max(firsts, key=firsts.__getitem__, default="")
        wrapper += first
        inner = [name.removeprefix(first) for name in inner if name.startswith(first)]
        if not first or 3 * len(inner) < len(names):  # a model, its average, and less than either beside them
            return ""
    return "" if wrapper and set(inner) & set(names) else wrapper


def _targets(mapping: WeightMapping, model: str, graph: Graph, names: Iterable[str]) -> dict[str, _Target]:
    """What each of their names is of ours; a name that no rule takes is not there."""
    found: dict[str, _Target] = {}
    problems: list[str] = []
    for name in names:
        candidates = {target: rule for rule, target in _candidates(mapping, model, graph, name)}
        if len(candidates) > 1:
            rules = " and ".join(f"{t.node}.{t.weight} by {rule.text}" for t, rule in candidates.items())
            problems.append(f"{name} would be {rules}")
        elif candidates:
            (found[name],) = candidates
    if problems:
        raise WeightsError(
            f"{mapping.path}: names that mean several weights of {graph.name}:\n  {_listed(problems)}",
            "make the patterns of the rules narrower",
        )
    return found


def _candidates(mapping: WeightMapping, model: str, graph: Graph, name: str) -> Iterator[tuple[Rule, _Target]]:
    """Every weight of the graph that a rule makes of a name: whole, or its layer's by what the origin calls them."""
    kinds = ORIGINS[mapping.origin].kinds
    known = {**mapping.lists, **mapping.models[model]}
    for layer, suffix in _splits(name):
        for rule in mapping.rules:
            ours = _ours(rule, layer, known)
            node = graph.values.get(ours)
            if isinstance(node, Node) and suffix in kinds.get(node.op.kind, {}):
                weight = kinds[node.op.kind][suffix]
                if weight is None or weight in node.weights:
                    yield rule, _Target(node.name, weight)
            elif not suffix and ours in graph.weights:
                owner, _, weight = ours.rpartition(".")
                yield rule, _Target(owner, weight)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """The name whole, then at each dot as layer and suffix."""
    yield name, ""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count]), ".".join(parts[count:])


def _ours(rule: Rule, layer: str, known: Mapping[str, Any]) -> str:
    """Our name for their layer by a rule; empty where it is not one of the rule's."""
    holes = rule.theirs.match(layer)
    if holes is None:
        return ""
    try:
        return str(evaluate_text(rule.ours, {**known, **holes}))
    except ExpressionError:  # arithmetic on text, a position beyond the list: the rule is of other layers
        return ""


def _check_accounts(
    mapping: WeightMapping,
    model: str,
    graph: Graph,
    names: Mapping[str, str],
    left: list[str],
    constants: Mapping[str, float],
    part: str,
) -> None:
    """WeightsError unless every name of theirs is taken, and every weight of ours is written once.

    `part` is what all names but those that are left begin with, if with anything.
    """
    writers: dict[str, list[str]] = {}
    for theirs, ours in names.items():
        writers.setdefault(ours, []).append(theirs)
    twice = [f"{ours} is written by {' and '.join(t)}" for ours, t in writers.items() if len(t) > 1]
    missing = [ours for ours in graph.weights if ours not in writers and ours not in constants]
    parts = []
    if left:
        parts.append(f"{len(left)} of the file that no rule takes:\n  {_listed(_with_nearest(left, missing))}")
    if missing:
        parts.append(f"{len(missing)} of {graph.name} that the file lacks:\n  {_listed(_with_nearest(missing, left))}")
    if twice:
        parts.append(f"{len(twice)} of {graph.name} written twice:\n  {_listed(twice)}")
    if parts:
        hint = "they may be of another model or version; rules of `layers`, `ignored` and `constants` account for more"
        if not left and not twice and (first := _beginning_of_end(graph, missing)):
            hint = f"the file ends before {first}: it is of the network without its classifier, and the whole is needed"
        if part and not missing and not twice:
            hint = f"{graph.name} is under {part!r}, and they are beside it: `--under {part}` reads it alone"
        raise WeightsError(
            f"these weights are not {mapping.origin}:{model}'s as {mapping.path.name} has them\n" + "\n".join(parts),
            hint,
        )


def _beginning_of_end(graph: Graph, missing: Sequence[str]) -> str:
    """The first of the layers that the output reads, where just their last ones are missing; empty where others are.

    So are files of Keras whose names end in `_notop`, and of timm's networks with no classes.
    """
    needed = graph.needed(graph.main)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in graph.weights))
    layers = [layer for layer in layers if layer in needed]
    lacking = {name.rpartition(".")[0] for name in missing}
    last = layers[len(layers) - len(lacking) :]
    whole = len(missing) == sum(name.rpartition(".")[0] in lacking for name in graph.weights)
    return last[0] if whole and set(last) == lacking and len(last) < len(layers) else ""


def _with_nearest(names: Iterable[str], others: list[str]) -> Iterator[str]:
    """The names that are shown, each with the one of the other side that is most like it."""
    for index, name in enumerate(names):
        close = difflib.get_close_matches(name, others, n=1) if index < SHOWN else []
        yield f"{name} (did you mean {close[0]}?)" if close else name


def _listed(lines: Iterable[str]) -> str:
    every = list(lines)
    return "\n  ".join([*every[:SHOWN], *([f"… and {len(every) - SHOWN} more"] if len(every) > SHOWN else [])])


def _convert(
    graph: Graph,
    origin: Origin,
    targets: Mapping[str, _Target],
    arrays: Mapping[str, Array],
    parameters: Mapping[str, Value],
) -> CanonicalWeights:
    """The arrays in canonical axes and float32."""
    weights: CanonicalWeights = {}
    problems: list[str] = []
    sizes: set[tuple[int, int]] = set()
    for theirs, target in targets.items():
        node = graph.values[target.node]
        if target.weight is None or not isinstance(node, Node):
            continue
        array, ours = arrays[theirs], f"{target.node}.{target.weight}"
        expected = graph.weights[ours].shape
        laid_out = origin.canonical(graph, node, target.weight, array)
        if not np.issubdtype(array.dtype, np.floating):
            problems.append(f"{theirs}: expected floating-point numbers, received {array.dtype}")
        elif _without_ones(laid_out.shape) != _without_ones(expected):
            problems.append(f"{theirs}: shape {array.shape}, and {ours} has {expected}")
            sizes |= set(zip_longest(laid_out.shape, expected, fillvalue=0)) - {(size, size) for size in expected}
        else:
            with np.errstate(over="ignore"):
                weights[ours] = np.ascontiguousarray(laid_out.reshape(expected), np.float32)
            if not np.isfinite(weights[ours]).all():
                problems.append(f"{theirs}: holds NaN or infinite values, or some beyond float32")
    if problems:
        raise WeightsError(
            f"{len(problems)} arrays cannot be weights of {graph.name}:\n  {_listed(problems)}",
            _setting_of(sizes, parameters) or "the file is of another model, or damaged",
        )
    return weights


def _setting_of(sizes: set[tuple[int, int]], parameters: Mapping[str, Value]) -> str:
    """What to set where one size differs, theirs and ours, and a parameter says it; else empty."""
    theirs, ours = next(iter(sizes)) if len(sizes) == 1 else (0, 0)
    settings = [f"`--set {name}={theirs}`" for name, value in parameters.items() if theirs and value == ours]
    return f"they have {theirs} there: {' or '.join(settings)} makes the spec match" if settings else ""


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
