"""Converting the arrays of an origin to canonical weights of a spec, with every name on either side accounted for."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from netspec.errors import WeightsError
from netspec.graph import Graph, Node
from netspec.ops.base import Array
from netspec.spec import elaborate, read_spec
from netspec.spec.expressions.expression import ExpressionError, Value, evaluate_text
from netspec.transfer.mapping import Rule, WeightMapping
from netspec.transfer.origins import ORIGINS, Origin
from netspec.weights import CanonicalWeights
from netspec.words import LISTED, indented


@dataclass(frozen=True)
class Transfer:
    """The result of a transfer: the weights, and an account of every array of the file.

    Attributes:
        graph: the graph of the spec with the model's parameters.
        weights: every weight of the graph.
        names: the canonical name of each array that became a weight, by its name in the file.
        ignored: arrays that the mapping's `ignored` leaves out.
        kept: arrays that are no weights, such as counters of batches.
        constants: the values of weights that the origin lacks.
        wrapper: a prefix of the file's names, such as `model.`, that is left out in `names`, `ignored` and `kept`.
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
    """What an array becomes: a weight of a node, or None if it is no weight."""

    node: str
    weight: str | None


def transfer(
    mapping: WeightMapping, model: str, arrays: Mapping[str, Array], overrides: Sequence[str] = ()
) -> Transfer:
    """Convert the arrays of a model to the weights of the mapping's spec.

    Args:
        mapping: the mapping of the model's family.
        model: the name of the model in the mapping.
        arrays: the arrays as the origin names them and lays them out.
        overrides: parameters of the spec in which these weights differ from the published model's: `classes=10`.

    Raises:
        SpecError: the mapping's spec cannot be compiled.
        WeightsError: a name on either side is unmatched or ambiguous, or an array has another shape, is not
            floating-point, or is not finite.
    """
    spec = read_spec(mapping.spec, [*mapping.settings(model), *overrides])
    graph = elaborate(spec)
    wrapper = _wrapper(mapping, model, graph, list(arrays))
    outside = {name for name in arrays if not name.startswith(wrapper)}
    arrays = {name.removeprefix(wrapper): array for name, array in arrays.items()}
    ignored = dict.fromkeys(name for name in arrays if any(p.match(name) is not None for p in mapping.ignored))
    targets = _targets(mapping, model, graph, [name for name in arrays if name not in ignored])
    names = {name: f"{t.node}.{t.weight}" for name, t in targets.items() if t.weight is not None}
    constants = {
        ours: value
        for ours in graph.weights.keys() - set(names.values())
        for pattern, value in mapping.constants
        if pattern.match(ours) is not None
    }
    unmatched = [name for name in arrays if name not in targets and name not in ignored]
    part = wrapper.rstrip(".") if unmatched and outside.issuperset(unmatched) else ""
    _check_accounts(mapping, model, graph, names, unmatched, constants, part)
    weights = _convert(graph, ORIGINS[mapping.origin], targets, arrays, spec.parameters)
    weights |= {n: np.full(graph.weights[n].shape, value, np.float32) for n, value in constants.items()}
    return Transfer(
        graph=graph,
        weights={name: weights[name] for name in graph.weights},
        names=names,
        ignored=tuple(ignored),
        kept=tuple(name for name, target in targets.items() if target.weight is None),
        constants={name: constants[name] for name in graph.weights if name in constants},
        wrapper=wrapper,
    )


def _wrapper(mapping: WeightMapping, model: str, graph: Graph, names: Sequence[str]) -> str:
    """The prefix of the names if another program contains the model, such as `model.` in Lightning's files; else empty.

    While no name matches a rule, the most common first component is added to the prefix, and only the names that have
    it are searched further. So a prefix may have several components, such as `model._orig_mod.`.
    """
    wrapper, inner = "", list(names)
    while not any(True for name in inner for _ in _candidates(mapping, model, graph, name)):
        firsts = Counter(name.partition(".")[0] + "." for name in inner if "." in name)
        first = max(firsts, key=firsts.__getitem__, default="")
        wrapper += first
        inner = [name.removeprefix(first) for name in inner if name.startswith(first)]
        # A third is enough: the file may hold the model, its moving average, and a few other arrays.
        if not first or 3 * len(inner) < len(names):
            return ""
    return "" if wrapper and set(inner) & set(names) else wrapper


def _targets(mapping: WeightMapping, model: str, graph: Graph, names: Iterable[str]) -> dict[str, _Target]:
    """The target of each name that matches a rule."""
    targets: dict[str, _Target] = {}
    problems: list[str] = []
    for name in names:
        candidates = {target: rule for rule, target in _candidates(mapping, model, graph, name)}
        if len(candidates) > 1:
            rules = " and ".join(f"{t.node}.{t.weight} by {rule.text}" for t, rule in candidates.items())
            problems.append(f"{name} would be {rules}")
        elif candidates:
            (targets[name],) = candidates
    if problems:
        raise WeightsError(
            f"{mapping.path}: names that mean several weights of {graph.name}:\n{indented(problems)}",
            "make the patterns of the rules narrower",
        )
    return targets


def _candidates(mapping: WeightMapping, model: str, graph: Graph, name: str) -> Iterator[tuple[Rule, _Target]]:
    """The targets of a name, with their rules: a rule may match the whole name as a weight, or its layer."""
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
    """The splits of a name into layer and weight, at no dot and at each: `a.b` gives (`a.b`, ``), then (`a`, `b`)."""
    yield name, ""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count]), ".".join(parts[count:])


def _ours(rule: Rule, layer: str, known: Mapping[str, Any]) -> str:
    """Our name for their layer by a rule; empty if the rule does not apply to it."""
    holes = rule.theirs.match(layer)
    if holes is None:
        return ""
    try:
        return str(evaluate_text(rule.ours, {**known, **holes}))
    except ExpressionError:  # such as arithmetic on text, or an index out of range: the rule is for other layers
        return ""


def _check_accounts(
    mapping: WeightMapping,
    model: str,
    graph: Graph,
    names: Mapping[str, str],
    unmatched: list[str],
    constants: Mapping[str, float],
    part: str,
) -> None:
    """Raise WeightsError unless every name of the file is matched, and every weight of the graph is written once.

    `part` is the prefix of all matched names, if the unmatched ones are those that lack it; else empty.
    """
    writers: dict[str, list[str]] = {}
    for theirs, ours in names.items():
        writers.setdefault(ours, []).append(theirs)
    twice = [f"{ours} is written by {' and '.join(t)}" for ours, t in writers.items() if len(t) > 1]
    missing = [ours for ours in graph.weights if ours not in writers and ours not in constants]
    problems = []
    if unmatched:
        near = indented(_with_nearest(unmatched, missing))
        problems.append(f"{len(unmatched)} of the file that no rule takes:\n{near}")
    if missing:
        near = indented(_with_nearest(missing, unmatched))
        problems.append(f"{len(missing)} of {graph.name} that the file lacks:\n{near}")
    if twice:
        problems.append(f"{len(twice)} of {graph.name} written twice:\n{indented(twice)}")
    if problems:
        hint = "they may be of another model or version; rules of `layers`, `ignored` and `constants` account for more"
        if not unmatched and not twice and (first := _first_of_missing_end(graph, missing)):
            hint = f"the file ends before {first}: it is of the network without its classifier, and the whole is needed"
        if part and not missing and not twice:
            hint = f"the weights of {graph.name} are under {part!r}: `--under {part}` reads those alone"
        raise WeightsError(
            f"these weights are not {mapping.origin}:{model}'s as {mapping.path.name} has them\n" + "\n".join(problems),
            hint,
        )


def _first_of_missing_end(graph: Graph, missing: Sequence[str]) -> str:
    """The first missing layer, if the missing weights are those of the last layers that the output needs; else empty.

    Such are Keras' `_notop` files, and those of timm's networks without classes.
    """
    needed = graph.needed(graph.main)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in graph.weights))
    layers = [layer for layer in layers if layer in needed]
    lacking = {name.rpartition(".")[0] for name in missing}
    last = layers[len(layers) - len(lacking) :]
    lack_all = len(missing) == sum(name.rpartition(".")[0] in lacking for name in graph.weights)
    return last[0] if lack_all and set(last) == lacking and len(last) < len(layers) else ""


def _with_nearest(names: Iterable[str], others: list[str]) -> Iterator[str]:
    """The names, each of the first with the most similar name of the other side."""
    for index, name in enumerate(names):
        close = difflib.get_close_matches(name, others, n=1) if index < LISTED else []
        yield f"{name} (did you mean {close[0]}?)" if close else name


def _convert(
    graph: Graph,
    origin: Origin,
    targets: Mapping[str, _Target],
    arrays: Mapping[str, Array],
    parameters: Mapping[str, Value],
) -> CanonicalWeights:
    """Convert the arrays to canonical axes and float32.

    Raises:
        WeightsError: an array has another shape, is not floating-point, or is not finite in float32.
    """
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
            f"{len(problems)} arrays cannot be weights of {graph.name}:\n{indented(problems)}",
            _setting_of(sizes, parameters) or "the file is of another model, or damaged",
        )
    return weights


def _setting_of(sizes: set[tuple[int, int]], parameters: Mapping[str, Value]) -> str:
    """The `--set` that makes the shapes match, if they differ in one pair of sizes that is a parameter; else empty."""
    theirs, ours = next(iter(sizes)) if len(sizes) == 1 else (0, 0)
    settings = [f"`--set {name}={theirs}`" for name, value in parameters.items() if theirs and value == ours]
    return f"they have {theirs} there: {' or '.join(settings)} makes the spec match" if settings else ""


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
