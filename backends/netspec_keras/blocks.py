"""Functions of blocks: instances whose code differs only in numbers share a function, which has them as parameters."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from netspec.graph import Graph, Node
from netspec.lowering.blocks.definitions import BlockDefinitions, describe_instances
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.indexed import INDEX
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.lists import with_names
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.blocks.stacks import Repetition
from netspec.lowering.blocks.template import Template, Unit, merges_in, variables_in
from netspec.lowering.python.definitions import Function
from netspec.lowering.python.naming import RUNNING, available, identifier
from netspec.lowering.python.rewrite import named_statements, targets_of, with_conditions
from netspec.lowering.python.source import (
    Attribute,
    Expression,
    Formatted,
    Literal,
    Name,
    Repeated,
    Subscript,
    call,
)
from netspec.lowering.python.statements import Assign, For, If, Statement, Unpack, returned
from netspec.lowering.python.subscripts import range_of
from netspec_keras.layout import native_name, native_path, native_type
from netspec_keras.loops import NAME, renamed, repeated_calls, row_of_calls, with_loops
from netspec_keras.signatures import SIGNATURES

CHANNELS: Final = "channels"  # the parameter for the channels of an input
BUILTINS: Final = ("bool", "enumerate", "float", "int", "len", "max", "min", "range", "str", "tuple", "zip")


class BlockFunctions(BlockDefinitions[PartDraft, Function]):
    """Builds the functions of a network's blocks, and their calls.

    Args:
        graph: the graph of the network.
        drafts: the statements of each part, by path.
        taken: names that no function or variable may have.
        of_module: names that support code uses; a function with one of them would take its place in the module.
    """

    def __init__(
        self, graph: Graph, drafts: Mapping[str, PartDraft], taken: Collection[str], of_module: Collection[str]
    ) -> None:
        super().__init__(drafts, (*taken, *BUILTINS, NAME, RUNNING), SIGNATURES)
        self._graph = graph
        self._of_module = {*of_module, *dir(builtins)}

    def body(self, root: Part) -> tuple[tuple[Statement | For | If, ...], dict[str, str]]:
        """The statements of the whole network, and the variable of each value."""
        draft = self._draft(root)
        template = Template(draft.units, draft.results)
        return self._body(root, template, self._names(root, template))

    def _given(self, draft: PartDraft) -> Given:
        """The arguments of an instance."""
        return draft.given(CHANNELS, sizes=True)

    def _units(self, draft: PartDraft, member: Node | Part) -> Iterator[Unit]:
        """The units that compute a member; its padding is a unit of its own."""
        name, run = local_name(member, draft.part), draft.statements(member)
        if isinstance(member, Part):
            parts = member.instances if member.is_stack else (member,)
            run = tuple(self._call(draft, part) for part in parts)
            if row := self._rows.get(member.path):
                run = tuple(row_of_calls(run, row))
            elif repetition := self._repetitions.get(member.path):
                run = self._repeated(run, member, repetition)
        if run and isinstance(run[0], Assign) and draft.is_padded(run[0].target):
            yield Unit(f"{name}_pad", (), run[:1], _passes(run[:1]), pads=name)
            run = run[1:]
        yield Unit(name, (), run, _passes(run), merges=merges_in(run))

    def _call(self, draft: PartDraft, part: Part) -> Statement:
        """The call of a block's function, with the shape in a comment if that changes."""
        name = _name_expression(draft.part, native_path(_relative(draft.part, part.path)))
        made = self._instance(part)
        inputs = [draft.variable(value) for value in part.inputs]
        applied = renamed(replace(made, args=(*inputs, *made.args[len(inputs) :])), name)
        *received, native = (native_type(self._graph.type_of(value)) for value in (*part.inputs, part.outputs[0]))
        return draft.assign(part, applied, "" if native in received else str(native))

    def _repeated(self, run: tuple[Statement, ...], stack: Part, repetition: Repetition) -> tuple[Statement, ...]:
        """The calls of a stack whose length differs between instances of its block."""
        if not repetition.stacks:
            start, end, element, _ = repetition
            return tuple(repeated_calls(run, start, end, self._instance(element)))
        applied = self._by_index(stack, repetition)
        if applied is None:
            return run
        return tuple(row_of_calls(run, Repeated(applied, Literal(len(run)), index=INDEX)))

    def _define(self, wanted: str, parts: Sequence[Part], template: Template) -> Function:
        """The function of these instances, named `wanted` or the like; registers their calls."""
        name = available(identifier(wanted), {*self._taken, *self._of_module})
        self._taken.append(name)
        part = parts[template.fullest]
        inferred = self._inferred_from_inputs(parts, template)
        required = [p for p in template.parameters if p.default is None and p.name not in inferred]
        optional = [p for p in template.parameters if p.default is not None and p.name not in inferred]
        roles = (*("x" for _ in part.inputs), *(p.name for p in required))
        self._signatures[name] = replace(template.signature, positional=roles)
        # Inputs and names are left open here: elements of a stack that differ in no more are equal.
        inputs = [None] * len(part.inputs)
        for index, instance in enumerate(parts):
            _, keywords = template.arguments(index)
            passed = {key: value for key, value in keywords.items() if key not in inferred}
            values = (p.values[index] for p in required)
            self._instances[instance.path] = call(name, *inputs, *values, **passed, **{NAME: None})
        names = self._names(part, template)
        received = self._drafts[part.path].parameters(names, {*self._taken, *template.names})
        body, variables = self._body(part, template, names, received)
        sizes = _sizes_read({name: (variables[value], axis) for name, (value, axis) in inferred.items()})
        computed = [*sizes, *(Assign(number, value) for number, value in template.computed)]
        results = [Name(names[result]) for result in template.results]
        parameters = (
            *(f"{variable}: keras.KerasTensor" for variable in received),
            *(p.declaration for p in required),
            f"{NAME}: str",
            *(p.declaration for p in optional),
        )
        return Function(
            name,
            parameters,
            (*computed, *body, returned(results)),
            returns="keras.KerasTensor" if len(results) == 1 else "tuple[keras.KerasTensor, ...]",
            docstring=describe_instances(parts),
        )

    def _inferred_from_inputs(self, parts: Sequence[Part], template: Template) -> dict[str, tuple[str, int]]:
        """The parameters whose value is a size of an input, with that input and axis; they are not arguments."""
        drafts = [self._drafts[part.path] for part in parts]
        channels, sizes = [draft.channels(CHANNELS) for draft in drafts], [draft.sizes() for draft in drafts]
        explicit = {name for part in parts if part.scope for name, _ in part.scope.arguments}
        inferred = {}
        for parameter in template.parameters:
            name = parameter.name
            for read in (channels, sizes):
                counts = tuple(of_part[name][1] if name in of_part else None for of_part in read)
                if name not in explicit and parameter.values == counts:
                    value, _ = read[template.fullest][name]
                    axis = -1 if read is channels else 1 + [*sizes[template.fullest]].index(name) % 2
                    inferred[name] = value, axis
        return inferred

    def _names(self, part: Part, template: Template) -> dict[str, str]:
        """The final name of each provisional variable."""
        reserved = {*self._taken, *template.names}
        return self._drafts[part.path].names_in(template, reserved, chain_inputs=False)

    def _body(
        self, part: Part, template: Template, names: Mapping[str, str], received: Sequence[str] = ()
    ) -> tuple[tuple[Statement | For | If, ...], dict[str, str]]:
        draft = self._drafts[part.path]
        statements = named_statements(template.run, names)
        counter = available("i", {*self._taken, *template.names, *names.values(), *received})
        variables = {value: names[variable] for value, variable in draft.variables.items() if variable in names}
        taken = {*self._taken, *template.names, *names.values(), *received, counter}
        named = [replace(statement, value=with_names(statement.value, taken)) for statement in statements]
        return tuple(with_conditions(with_loops(named, counter))), variables


def _sizes_read(sizes: Mapping[str, tuple[str, int]]) -> Iterator[Statement]:
    """The statements that read sizes off inputs, given the input and the axis of each: one for those of an input."""
    by_input: dict[str, dict[int, str]] = {}
    for name, (variable, axis) in sizes.items():
        by_input.setdefault(variable, {})[axis] = name
    for variable, names in by_input.items():
        shape = Attribute(Name(variable), "shape")
        if {1, 2} <= names.keys():
            axes = (1, 2, -1) if -1 in names else (1, 2)
            taken = range_of(1, None if -1 in names else 3)
            yield Unpack(tuple(names[axis] for axis in axes), Subscript(shape, (taken,)))
        else:
            yield from (Assign(names[axis], Subscript(shape, (axis,))) for axis in sorted(names, reverse=True))


def layer_name(part: Part, path: str) -> Expression:
    """The expression of the name of a node's layer; in a block it begins with the name of the instance."""
    return _name_expression(part, native_name(_relative(part, path)))


def _name_expression(part: Part, suffix: str) -> Expression:
    return Formatted((Name(NAME), suffix)) if part.path else Literal(suffix)


def _relative(part: Part, path: str) -> str:
    """A path relative to a part; in a block it begins with a dot."""
    return path[len(part.path) :]


def _passes(run: Sequence[Statement]) -> tuple[str, str] | None:
    """The input and output variable of a layer, a loop, or a chain of calls; None for anything else."""
    targets = {target for statement in run for target in targets_of(statement)}
    read = {variable for statement in run[:1] for variable in variables_in(statement)}
    follow = all({*variables_in(statement)} == targets for statement in run[1:])
    return (read.pop(), targets.pop()) if len(read) == len(targets) == 1 and follow else None
