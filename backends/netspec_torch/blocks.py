"""Classes of blocks: instances whose code differs only in numbers share a class, which has them as parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from netspec.graph import Graph, Node
from netspec.lowering.blocks.definitions import BlockDefinitions, describe_instances
from netspec.lowering.blocks.indexed import INDEX
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.lists import with_names
from netspec.lowering.blocks.parts import Part, local_name, values_of
from netspec.lowering.blocks.stacks import Repetition
from netspec.lowering.blocks.template import Template, Unit, merges_in, variables_in
from netspec.lowering.python.definitions import Class, Function
from netspec.lowering.python.naming import available, class_name
from netspec.lowering.python.rewrite import named_statements, names_in, rename, with_conditions
from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Attribute,
    Call,
    Expression,
    ListOf,
    Literal,
    Name,
    Repeated,
    TupleOf,
    call,
)
from netspec.lowering.python.statements import Assign, Do, If, Statement, returned
from netspec_torch.drafts import ModuleDraft
from netspec_torch.loops import looped_calls, with_loops
from netspec_torch.reserved import MODULE_ATTRIBUTES
from netspec_torch.signatures import METHODS, SIGNATURES

# Names that emitted source uses itself; a variable with one of these names gets an underscore.
LOCALS: Final = ("self", "torch", "nn", "F", "Tensor", "float", "max", "min")
# Names that appear in the annotations and expressions of parameters.
COUNTER: Final = "i"
BUILTINS: Final = ("int", "bool", "str", "tuple", "range", "len", "zip", "enumerate", "super", "_", COUNTER)
INITIALIZE_BASE: Final = Do(Call(Attribute(Call(Name("super")), "__init__")))


class BlockClasses(BlockDefinitions[ModuleDraft, Class]):
    """Builds the classes of a network's blocks, and the expressions that instantiate them.

    Args:
        drafts: the statements and layers of each part, by path.
        used: names that the source uses otherwise, support code included; no class or variable has one of them.
        entry: the name of the class of the network.
    """

    absent = call("nn.Identity")

    def __init__(self, drafts: Mapping[str, ModuleDraft], used: Sequence[str], entry: str) -> None:
        super().__init__(drafts, (*used, entry, *BUILTINS), {**SIGNATURES, **METHODS})
        self._used = used

    def of_network(self, root: Part, entry: str, docstring: str, channels_last: Sequence[str], graph: Graph) -> Class:
        """The class of the network itself.

        Auxiliary outputs are computed and returned in training only.

        Args:
            root: the whole network.
            entry: the name of the class.
            docstring: its docstring.
            channels_last: the inputs that `forward` converts to that memory format, which convolutions preserve.
            graph: the graph of the network.
        """
        draft = self._draft(root)
        network = self._class(root, entry, docstring, Template(draft.units, draft.results))
        names = self._drafts[root.path].names(self._used)
        provisional = self._drafts[root.path].variables
        variables = {value: names[variable] for value, variable in provisional.items() if variable in names}
        conversions = [_to_channels_last(Name(variables[value])) for value in channels_last]
        *methods, forward = network.body
        forward = replace(forward, body=(*conversions, *forward.body))
        if graph.heads:
            pairs = zip(draft.units, root.members, strict=True)
            run = [s for unit, member in pairs if graph.training_only.issuperset(values_of(member)) for s in unit.run]
            count = len(named_statements(run, names))
            forward = _with_heads(forward, count, [variables[output] for output in graph.main])
        return replace(network, body=(*methods, forward))

    def _given(self, draft: ModuleDraft) -> Given:
        """The arguments of an instance."""
        return draft.given("in_channels")

    def _units(self, draft: ModuleDraft, member: Node | Part) -> Iterator[Unit]:
        """The one unit of a member, with its layer."""
        layer = self._module(member) if isinstance(member, Part) else draft.declaration(member)
        setup = () if layer is None else (Assign(f"self.{draft.attribute(member)}", layer),)
        run = draft.statements(member)
        if isinstance(member, Part) and member.path in self._rows and not member.is_chain:
            run = tuple(looped_calls(run))
        yield Unit(local_name(member, draft.part), setup, run, _passes(setup, run), merges=merges_in(run))

    def _module(self, part: Part) -> Expression:
        """The expression that makes a part: a block's instance, or a container with the instances of a stack."""
        if not part.is_stack:
            return self._instance(part)
        if one_by_one := self._rows.get(part.path):
            return call("nn.Sequential", one_by_one) if part.is_chain else call("nn.ModuleList", ListOf((one_by_one,)))
        expressions = [self._instance(instance) for instance in part.instances]
        row = tuple(_repeated(expressions))
        if part.is_chain:
            repetition = self._repetitions.get(part.path)
            return call("nn.Sequential", *((repetition and self._row(expressions, part, repetition)) or row))
        if part.is_numbered:
            equal = len(row) == 1 and len(expressions) >= FEWEST_REPEATED
            return call("nn.ModuleList", ListOf(row if equal else tuple(expressions)))
        keyed = zip(part.instances, expressions, strict=True)
        items = tuple(TupleOf((Literal(instance.name), expression)) for instance, expression in keyed)
        return call("nn.ModuleDict", ListOf(items))

    def _row(self, expressions: Sequence[Expression], stack: Part, repetition: Repetition) -> tuple[Expression, ...]:
        """The elements of a stack whose length differs between instances; empty if they stay as they are."""
        count = len(expressions)
        if not repetition.stacks:
            start, end, element, _ = repetition
            between = Repeated(self._instance(element), Literal(count), start, end)
            return (*expressions[:start], between, *expressions[count - end :])
        applied = self._by_index(stack, repetition)
        return () if applied is None else (Repeated(applied, Literal(count), index=INDEX),)

    def _define(self, wanted: str, parts: Sequence[Part], template: Template) -> Class:
        """The class of these instances, named `wanted` or the like; registers the expressions that make them."""
        free = next((name for name in (wanted, f"{wanted}_block") if class_name(name) not in self._taken), wanted)
        name = class_name(free, self._taken)
        self._taken.append(name)
        self._signatures[name] = template.signature
        for index, part in enumerate(parts):
            positional, keywords = template.arguments(index)
            self._instances[part.path] = call(name, *positional, **keywords)
        return self._class(parts[template.fullest], name, describe_instances(parts), template)

    def _attributes(self, template: Template) -> dict[str, str]:
        """The attributes for the parameters, and the numbers computed from them, that `forward` reads."""
        read = {name for statement in template.run for name in names_in(statement.value)}
        layers = {declaration.target.removeprefix("self.") for declaration in template.setup}
        taken = {*MODULE_ATTRIBUTES, *layers}
        attributes: dict[str, str] = {}
        for name in template.names:
            if name in read:
                attribute = available(name, taken)
                taken.add(attribute)
                attributes[name] = f"self.{attribute}"
        return attributes

    def _class(self, part: Part, name: str, docstring: str, template: Template) -> Class:
        """The class of a template; the variables of `forward` are named as in this part, which has all of its units."""
        attributes = self._attributes(template)
        methods = (*_initialize(template, attributes, self._used), self._forward(part, template, attributes))
        return Class(name, "nn.Module", docstring, methods)

    def _forward(self, part: Part, template: Template, attributes: Mapping[str, str]) -> Function:
        draft = self._drafts[part.path]
        names = draft.names_in(template, self._used)
        run = [rename(statement, attributes) for statement in template.run]
        body = with_conditions(with_loops(named_statements(run, names), {*self._used, *names.values()}))
        return Function(
            "forward",
            ("self", *(f"{name}: Tensor" for name in draft.parameters(names, self._used))),
            (*body, returned([Name(names[result]) for result in template.results])),
            returns=_tensors(len(template.results)),
        )


def _initialize(template: Template, attributes: Mapping[str, str], used: Collection[str]) -> Iterator[Function]:
    """The method `__init__`, if there is anything to initialize.

    A parameter that says whether a layer without code is present, such as an identity, is passed all the same.
    """
    taken = {*used, *BUILTINS, *template.names}
    layers = (replace(layer, value=with_names(layer.value, taken, COUNTER)) for layer in template.setup)
    declarations = [*_number_assignments(template, attributes), *layers]
    if declarations or template.parameters:
        parameters = ("self", *(parameter.declaration for parameter in template.parameters))
        yield Function("__init__", parameters, (INITIALIZE_BASE, *declarations), returns="None")


def _number_assignments(template: Template, attributes: Mapping[str, str]) -> Iterator[Assign]:
    """The statements of `__init__` that compute numbers from parameters, and store those that `forward` reads."""
    computed = dict(template.computed)
    in_setup = {name for layer in template.setup for name in names_in(layer.value)}
    in_setup |= {name for value in computed.values() for name in names_in(value)}
    for parameter in template.parameters:
        if parameter.name in attributes:
            yield Assign(attributes[parameter.name], Name(parameter.name))
    for name, value in computed.items():
        if name in in_setup or name not in attributes:
            yield Assign(name, value)
        if name in attributes:
            yield Assign(attributes[name], Name(name) if name in in_setup else value)


def _with_heads(forward: Function, count: int, main: Sequence[str]) -> Function:
    """Move the last `count` statements, which compute heads, under `if self.training`; else return the main outputs."""
    cut = len(forward.body) - 1 - count  # the last statement returns all outputs
    heads = tuple(statement for statement in forward.body[cut:] if not isinstance(statement, If))
    body = (*forward.body[:cut], If(Name("self.training"), heads), returned([*map(Name, main)]))
    return replace(forward, body=body, returns=f"{_tensors(len(main))} | {forward.returns}")


def _to_channels_last(variable: Name) -> Assign:
    return Assign(variable.path, call(Attribute(variable, "contiguous"), memory_format=Name("torch.channels_last")))


def _passes(setup: Sequence[Assign], run: Sequence[Statement]) -> tuple[str, str] | None:
    """The input and output variable of a unit that `nn.Identity`, or no statement, can replace; None for others."""
    match setup, run:
        case [Assign(layer)], [Assign(output, Call(Name(called), (Name(read),), ()))] if called == layer:
            return read, output
        case [], [Assign(output) as statement] if len(variables := set(variables_in(statement))) == 1:
            return variables.pop(), output
    return None


def _repeated(expressions: Sequence[Expression]) -> Iterator[Expression]:
    """The expressions, with each run of equal ones as one `Repeated`."""
    for expression, run in groupby(expressions):
        yield Repeated(expression, Literal(len(list(run))))


def _tensors(count: int) -> str:
    """The annotation of outputs; several are spelled out, for TorchScript does not support `tuple[Tensor, ...]`."""
    return "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
