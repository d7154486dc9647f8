"""Functions of blocks: one for all instances that are the same layers up to numbers, which it takes with a name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from netspec.graph import Graph, Node
from netspec.lowering.blocks.drafts import (
    PartDraft,
    blocks_of,
    describe_instances,
    merges_in,
    named_statements,
    parameter_text,
    variables_in,
    variant_names,
    with_conditions,
)
from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.blocks.stacks import starts_of
from netspec.lowering.blocks.template import Draft, Signature, Template, Unit
from netspec.lowering.python.naming import available, identifier
from netspec.lowering.python.rewrite import names_in
from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Assign,
    Attribute,
    Call,
    Conditional,
    Expression,
    For,
    Formatted,
    Function,
    If,
    Literal,
    LiteralValue,
    Name,
    Repeated,
    Return,
    Statement,
    Subscript,
    TupleOf,
    Unpack,
    call,
)
from netspec_keras.layout import SEPARATOR, native_name, native_path, native_shape
from netspec_keras.signatures import SIGNATURES

CHANNELS: Final = "channels"  # that arrive
NAME: Final = "name"  # of an instance, which the names of its layers begin with
BUILTINS: Final = ("bool", "float", "int", "range", "str", "tuple")


class BlockFunctions:
    """Makes the functions that a network needs, and the calls of them.

    Args:
        graph: the network.
        drafts: what is emitted for each part, by path.
        taken: names that no function may have.
    """

    def __init__(self, graph: Graph, drafts: Mapping[str, PartDraft], taken: Collection[str]) -> None:
        self._graph = graph
        self._drafts = drafts
        self._taken = [*taken, *BUILTINS, NAME]
        self._signatures: dict[str, Signature] = dict(SIGNATURES)
        self._starts: dict[str, int] = {}
        self._calls: dict[str, tuple[str, tuple[LiteralValue, ...], dict[str, LiteralValue]]] = {}

    def define(self, root: Part) -> list[Function]:
        """The functions of all blocks, each after those that it calls."""
        functions = []
        for block, parts in blocks_of(root).items():
            self._starts |= starts_of(parts, lambda part: self._calls[part.path])
            generalizer = Generalizer(self._signature, self._taken)
            groups = generalizer.group([self._draft(part) for part in parts])
            variants = [[parts[each] for each in members] for members, _ in groups]
            templates = [template for _, template in groups]
            names = _by_depth(block, templates) or variant_names(block, variants)
            for wanted, own, template in zip(names, variants, templates, strict=True):
                functions.append(self._function(identifier(wanted), own, template))
        return functions

    def body(self, root: Part) -> tuple[tuple[Statement | For | If, ...], dict[str, str]]:
        """The statements of the network itself, and the variable of each value."""
        return self._body(root, Template(self._draft(root).units))

    def _signature(self, function: str) -> Signature:
        return self._signatures.get(function, Signature())

    def _draft(self, part: Part) -> Draft:
        draft = self._drafts[part.path]
        units = tuple(unit for member in part.members for unit in self._units(draft, member))
        return Draft(units, tuple(draft.variables[output] for output in part.outputs), draft.given(CHANNELS))

    def _units(self, draft: PartDraft, member: Node | Part) -> Iterator[Unit]:
        """What computes a member, the padding of it apart."""
        name, run = local_name(member, draft.part), draft.statements(member)
        if isinstance(member, Part):
            parts = [each for each in member.members if isinstance(each, Part)] if member.is_stack else [member]
            run = tuple(self._call(draft, part) for part in parts)
            if member.path in self._starts:
                run = tuple(_in_a_loop(run, self._starts[member.path]))
        if run and isinstance(run[0], Assign) and draft.is_padded(run[0].target):
            yield Unit(f"{name}_pad", (), run[:1], _passes(run[:1]), pads=name)
            run = run[1:]
        yield Unit(name, (), run, _passes(run), merges=merges_in(run))

    def _call(self, draft: PartDraft, part: Part) -> Statement:
        """A call of a block's function, with the shape in a comment where it is a new one."""
        function, positional, optional = self._calls[part.path]
        inputs = tuple(draft.variable(value) for value in part.inputs)
        named = (
            *((k, Literal(v)) for k, v in optional.items()),
            (NAME, _named(draft.part, native_path(_within(draft.part, part.path)))),
        )
        applied = Call(Name(function), (*inputs, *map(Literal, positional)), named)
        shapes = [native_shape(self._graph.type_of(value)) for value in (*part.inputs, part.outputs[0])]
        given = f"({', '.join(map(str, shapes[-1]))}{',' if len(shapes[-1]) == 1 else ''})"
        return draft.assign(part, applied, "" if shapes[-1] in shapes[:-1] else given)

    def _function(self, wanted: str, parts: Sequence[Part], template: Template) -> Function:
        made = available(wanted, self._taken)
        self._taken.append(made)
        part = parts[template.fullest]
        told = self._told_by_inputs(parts, template)
        required = [p for p in template.parameters if p.default is None and p.name not in told]
        optional = [p for p in template.parameters if p.default is not None and p.name not in told]
        roles = (*("x" for _ in part.inputs), *(p.name for p in required))
        self._signatures[made] = replace(template.signature, positional=roles)
        for index, instance in enumerate(parts):
            _, named = template.arguments(index)
            kept = {own: value for own, value in named.items() if own not in told}
            self._calls[instance.path] = (made, tuple(p.values[index] for p in required), kept)
        body, variables = self._body(part, template)
        shapes = [(own, Attribute(Name(variables[value]), "shape")) for own, value in told.items()]
        counts = [Assign(own, Subscript(shape, (-1,))) for own, shape in shapes]
        computed = [*counts, *(Assign(own, value) for own, value in template.computed)]
        results = [Name(variables[output]) for output in part.outputs]
        parameters = (
            *(f"{variables[value]}: keras.KerasTensor" for value in part.inputs),
            *map(parameter_text, required),
            f"{NAME}: str",
            *map(parameter_text, optional),
        )
        return Function(
            made,
            parameters,
            (*computed, *body, Return(results[0] if len(results) == 1 else TupleOf(tuple(results)))),
            returns="keras.KerasTensor" if len(results) == 1 else "tuple[keras.KerasTensor, ...]",
            docstring=describe_instances(parts),
        )

    def _told_by_inputs(self, parts: Sequence[Part], template: Template) -> dict[str, str]:
        """The parameters that need not be given, since the shape of an input has them, and which input that is."""
        arriving = [self._drafts[part.path].channels(CHANNELS) for part in parts]
        given = {own for part in parts if part.scope for own, _ in part.scope.arguments}
        told = {}
        for parameter in template.parameters:
            own = parameter.name
            counts = tuple(each[own][1] if own in each else None for each in arriving)
            if own not in given and parameter.values == counts:
                told[own], _ = arriving[template.fullest][own]
        return told

    def _body(self, part: Part, template: Template) -> tuple[tuple[Statement | For | If, ...], dict[str, str]]:
        draft = self._drafts[part.path]
        reserved = {*self._taken, *template.names}
        names = template.join(draft.names(reserved, chain_inputs=False))
        statements = named_statements([statement for unit in template.units for statement in unit.run], names)
        counter = available("i", {*reserved, *names.values()})
        variables = {value: names[own] for value, own in draft.variables.items() if own in names}
        return tuple(with_conditions(_loops(statements, counter))), variables


def _by_depth(block: str, templates: Sequence[Template]) -> list[str]:
    """What two functions are called of which one convolves each channel by itself; empty of others."""
    deep = [
        any("layers.DepthwiseConv2D" in names_in(own.value) for unit in template.units for own in unit.run)
        for template in templates
    ]
    return [f"{block}_depthwise" if own else block for own in deep] if sorted(deep) == [False, True] else []


def layer_name(part: Part, path: str) -> Expression:
    """The name of a node's layer: in a block it begins with that of the instance."""
    return _named(part, native_name(_within(part, path)))


def _named(part: Part, own: str) -> Expression:
    return Formatted((Name(NAME), own)) if part.path else Literal(own)


def _within(part: Part, path: str) -> str:
    """What a path says beside that of the part: in a block it begins with a dot."""
    return path[len(part.path) :]


def _passes(run: Sequence[Statement]) -> tuple[str, str] | None:
    """The variables between which one layer, one call, or one loop stands."""
    match run:
        case [Assign(started, Name(source)), Assign(target, Repeated())] if started == target:
            return source, target
        case [Assign(target) as statement]:
            read = set(variables_in(statement))
            return (read.pop(), target) if len(read) == 1 else None
    return None


def _in_a_loop(run: Sequence[Statement], start: int) -> Iterator[Statement]:
    """The calls of a stack, each of which reads what the one before gives, from `start` as one that is repeated."""
    yield from run[:start]
    again = run[start]
    assert isinstance(again, Assign)  # noqa: S101 # one of a chain
    assert isinstance(again.value, Call)  # noqa: S101
    read = again.value.args[0]
    if read != Name(again.target):
        yield Assign(again.target, read)
    applied = replace(again.value, args=(Name(again.target), *again.value.args[1:]))
    yield Assign(again.target, Repeated(_renamed(applied, _stem(applied)), Literal(len(run)), start))


def _stem(applied: Call) -> Expression:
    """The name that a call gives, without the number at its end."""
    own = dict(applied.kwargs)[NAME]
    assert isinstance(own, Formatted)  # noqa: S101 # in a block it begins with that of the instance
    last = str(own.parts[-1])
    return Formatted((*own.parts[:-1], last[: last.rindex(SEPARATOR) + 1]))


def _written_loop(target: str, repeated: Repeated, counter: str) -> Iterator[Statement | For]:
    """What is repeated, numbered in its name: in a loop, or one after another where they are few."""
    applied = repeated.value
    assert isinstance(applied, Call)  # noqa: S101
    stem = dict(applied.kwargs)[NAME]
    assert isinstance(stem, Formatted)  # noqa: S101
    if repeated.is_written_out and isinstance(repeated.count, Literal):
        for number in range(repeated.start, int(str(repeated.count.value))):
            *before, last = stem.parts
            yield Assign(target, _renamed(applied, Formatted((*before, f"{last}{number}"))))
        return
    body = Assign(target, _renamed(applied, Formatted((*stem.parts, Name(counter)))))
    yield _counted_loop(counter, repeated.start, repeated.count, body)


def _loops(statements: Sequence[Statement], counter: str) -> Iterator[Statement | For | If]:
    """The statements; calls in a row that differ in the number at the end of the name as one in a loop."""
    index = 0
    while index < len(statements):
        own = statements[index]
        if isinstance(own, Assign) and isinstance(own.value, Repeated):
            yield from _written_loop(own.target, own.value, counter)
            index += 1
            continue
        if isinstance(own, Assign) and isinstance(own.value, Conditional) and isinstance(own.value.value, Repeated):
            yield If(own.value.test, tuple(_written_loop(own.target, own.value.value, counter)))
            index += 1
            continue
        first = _numbered(statements[index])
        count = 1
        while first is not None and index + count < len(statements):
            stem, number, bare = first
            if _numbered(statements[index + count]) != (stem, number + count, bare):
                break
            count += 1
        if first is None or count < FEWEST_REPEATED:
            yield statements[index]
            index += 1
            continue
        stem, number, bare = first
        body = replace(bare, value=_renamed(bare.value, Formatted((*stem, Name(counter)))))
        yield _counted_loop(counter, number, Literal(number + count), body)
        index += count


def _counted_loop(counter: str, start: int, stop: Expression, body: Statement) -> For:
    return For(counter, call("range", start, stop) if start else call("range", stop), (body,))


def _numbered(statement: Statement) -> tuple[tuple[str | Name, ...], int, Assign | Unpack] | None:
    """What stands before the number at the end of the name that a call gives, the number, and the call without it."""
    if not isinstance(statement, Assign | Unpack) or not isinstance(statement.value, Call):
        return None
    targets = (statement.target,) if isinstance(statement, Assign) else statement.targets
    if getattr(statement, "comment", "") or not set(map(Name, targets)).issubset(statement.value.args):
        return None
    match dict(statement.value.kwargs).get(NAME):
        case Literal(str(text)):
            parts: tuple[str | Name, ...] = (text,)
        case Formatted(parts):
            pass
        case _:
            return None
    last = parts[-1]
    stem, dash, number = last.rpartition(SEPARATOR) if isinstance(last, str) else ("", "", "")
    if not dash or not number.isdecimal():
        return None
    return (*parts[:-1], stem + dash), int(number), replace(statement, value=_renamed(statement.value, Literal(None)))


def _renamed(applied: Expression, own: Expression) -> Expression:
    if not isinstance(applied, Call):
        return applied
    return replace(applied, kwargs=tuple((key, own if key == NAME else value) for key, value in applied.kwargs))
