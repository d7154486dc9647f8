"""Classes of blocks: instances whose code differs only in numbers share a class, which has them as parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from netspec.graph import Graph, Node
from netspec.lowering.blocks.drafts import (
    blocks_of,
    describe_instances,
    merges_in,
    named_statements,
    parameter_text,
    with_conditions,
)
from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.indexed import INDEX, calls_by_index
from netspec.lowering.blocks.lists import Groups, Rows, fewest, rows_of, with_names
from netspec.lowering.blocks.parts import Part, local_name, values_of
from netspec.lowering.blocks.stacks import Repetition, repetitions_of
from netspec.lowering.blocks.template import Draft, Signature, Template, Unit, signature_of, variables_in
from netspec.lowering.blocks.variants import variant_names
from netspec.lowering.python.definitions import Class, Function
from netspec.lowering.python.naming import available, class_name
from netspec.lowering.python.rewrite import names_in, rename
from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Assign,
    Attribute,
    Call,
    Do,
    Expression,
    If,
    ListOf,
    Literal,
    Name,
    Repeated,
    Return,
    Statement,
    TupleOf,
    call,
)
from netspec_torch.drafts import ModuleDraft
from netspec_torch.loops import looped_calls, with_loops
from netspec_torch.reserved import MODULE_ATTRIBUTES
from netspec_torch.signatures import METHODS, SIGNATURES

# Names that emitted source uses itself; a variable with one of these names gets an underscore.
LOCALS: Final = ("self", "torch", "nn", "F", "Tensor", "float")
# Names that appear in the annotations and expressions of parameters.
COUNTER: Final = "i"
BUILTINS: Final = ("int", "bool", "str", "tuple", "range", "len", "zip", "enumerate", "super", "_", COUNTER)
INITIALIZE_BASE: Final = Do(Call(Attribute(Call(Name("super")), "__init__")))


class BlockClasses:
    """Builds the classes of a network's blocks, and the expressions that instantiate them.

    Args:
        drafts: the statements and layers of each part, by path.
        used: names that the source uses otherwise, support code included; no class or variable has one of them.
        entry: the name of the class of the network.
    """

    def __init__(self, drafts: Mapping[str, ModuleDraft], used: Sequence[str], entry: str) -> None:
        self._drafts = drafts
        self._used = used
        self._taken = [*used, entry, *BUILTINS]
        self._signatures: dict[str, Signature] = {**SIGNATURES, **METHODS}
        self._instances: dict[str, Call] = {}  # the expression that makes an instance, by path
        self._repetitions: dict[str, Repetition] = {}
        self._rows: Rows = {}  # of stacks whose elements differ one by one, by path
        self._by_index: dict[str, Call | None] = {}  # of stacks whose elements are made by their index, by path

    def define(self, root: Part) -> list[Class]:
        """The classes of all blocks, each after the classes that it uses."""
        classes = []
        for block, parts in blocks_of(root).items():
            self._repetitions |= repetitions_of(parts, lambda part: self._instances[part.path])
            groups, self._rows = self._groups(parts)
            variants = [[parts[index] for index in members] for members, _ in groups]
            for wanted, instances, (_, template) in zip(variant_names(block, variants), variants, groups, strict=True):
                classes.append(self._class(wanted, instances, template))
        return classes

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
        network = self._render(root, entry, docstring, Template(draft.units, draft.results))
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
            forward = _with_heads(forward, count, [Name(variables[output]) for output in graph.main])
        return replace(network, body=(*methods, forward))

    def _signature(self, function: str) -> Signature:
        return self._signatures.get(function, Signature())

    def _draft(self, part: Part) -> Draft:
        draft = self._drafts[part.path]
        units = tuple(self._unit(draft, member) for member in part.members)
        results = tuple(draft.variables[output] for output in part.outputs)
        return Draft(units, results, draft.given("in_channels"), draft.inputs)

    def _groups(self, parts: Sequence[Part]) -> tuple[Groups, Rows]:
        """The groups of instances that share a class, and what gives the elements of their stacks."""
        generalizer = Generalizer(self._signature, self._taken, call("nn.Identity"))

        def group(rows: Rows) -> Groups:
            self._rows = rows
            return generalizer.group([self._draft(part) for part in parts])

        given = [self._drafts[part.path].given("in_channels") for part in parts]
        return fewest(group, rows_of(parts, given, lambda part: self._instances[part.path], self._signature))

    def _unit(self, draft: ModuleDraft, member: Node | Part) -> Unit:
        layer = self._module(member) if isinstance(member, Part) else draft.declaration(member)
        setup = () if layer is None else (Assign(f"self.{draft.attribute(member)}", layer),)
        run = draft.statements(member)
        if isinstance(member, Part) and member.path in self._rows and not member.is_chain:
            run = tuple(looped_calls(run))
        return Unit(local_name(member, draft.part), setup, run, _passes(setup, run), merges=merges_in(run))

    def _module(self, part: Part) -> Expression:
        """The expression that makes a part: a block's instance, or a container with the instances of a stack."""
        if not part.is_stack:
            return self._instances[part.path]
        if (one_by_one := self._rows.get(part.path)) and not part.is_chain:
            return call("nn.ModuleList", ListOf((one_by_one,)))
        instances = [(member.name, self._instances[member.path]) for member in part.members if isinstance(member, Part)]
        expressions = [expression for _, expression in instances]
        if part.is_chain:
            row = tuple(_repeated(expressions))
            if one_by_one := self._rows.get(part.path):
                row = (one_by_one,)
            elif repetition := self._repetitions.get(part.path):
                row = self._row(expressions, part, repetition) or row
            return Call(Name("nn.Sequential"), row)
        if [key for key, _ in instances] == [str(index) for index in range(len(instances))]:
            row = tuple(_repeated(expressions))
            equal = len(row) == 1 and len(expressions) >= FEWEST_REPEATED
            return call("nn.ModuleList", ListOf(row if equal else tuple(expressions)))
        items = tuple(TupleOf((Literal(key), expression)) for key, expression in instances)
        return call("nn.ModuleDict", ListOf(items))

    def _row(self, expressions: Sequence[Expression], stack: Part, repetition: Repetition) -> tuple[Expression, ...]:
        """The elements of a stack whose length differs between instances; empty if they stay as they are."""
        start, end, element, stacks = repetition
        count = len(expressions)
        if not stacks:
            between = Repeated(self._instances[element.path], Literal(count), start, end)
            return (*expressions[:start], between, *expressions[count - end :])
        if stack.path not in self._by_index:
            defaults = signature_of(self._instances[element.path].function, self._signature).optional or {}
            self._by_index |= calls_by_index(stacks, lambda part: self._instances[part.path], defaults)
        applied = self._by_index[stack.path]
        return () if applied is None else (Repeated(applied, Literal(count), index=INDEX),)

    def _class(self, wanted: str, parts: Sequence[Part], template: Template) -> Class:
        """The class of these instances, named `wanted` or the like; registers the expressions that make them."""
        free = next((name for name in (wanted, f"{wanted}_block") if class_name(name) not in self._taken), wanted)
        name = class_name(free, self._taken)
        self._taken.append(name)
        self._signatures[name] = template.signature
        for index, part in enumerate(parts):
            positional, keywords = template.arguments(index)
            self._instances[part.path] = call(name, *positional, **keywords)
        return self._render(parts[template.fullest], name, describe_instances(parts), template)

    def _attributes(self, template: Template) -> dict[str, str]:
        """The attributes for the parameters, and the numbers computed from them, that `forward` reads."""
        read = {name for unit in template.units for statement in unit.run for name in names_in(statement.value)}
        layers = {declaration.target.removeprefix("self.") for unit in template.units for declaration in unit.setup}
        taken = {*MODULE_ATTRIBUTES, *layers}
        attributes: dict[str, str] = {}
        for name in template.names:
            if name in read:
                attribute = available(name, taken)
                taken.add(attribute)
                attributes[name] = f"self.{attribute}"
        return attributes

    def _render(self, part: Part, name: str, docstring: str, template: Template) -> Class:
        draft = self._drafts[part.path]
        names = draft.names_in(template, self._used)
        attributes = self._attributes(template)
        run = [rename(statement, attributes) for unit in template.units for statement in unit.run]
        taken = {*self._used, *names.values()}
        body = tuple(with_conditions(with_loops(named_statements(run, names), taken)))
        results = tuple(Name(names[result]) for result in template.results)
        one = len(results) == 1
        forward = Function(
            "forward",
            ("self", *(f"{name}: Tensor" for name in draft.parameters(names, self._used))),
            (*body, Return(results[0] if one else TupleOf(results))),
            returns="Tensor" if one else _tuple_of_tensors(len(results)),
        )
        layers = (declaration for unit in template.units for declaration in unit.setup)
        taken = {*self._used, *BUILTINS, *template.names}
        named = (replace(layer, value=with_names(layer.value, taken, COUNTER)) for layer in layers)
        declarations = [*_number_assignments(template, attributes), *named]
        parameters = ("self", *map(parameter_text, template.parameters))
        initialize = Function("__init__", parameters, (INITIALIZE_BASE, *declarations), returns="None")
        # A parameter that says whether a layer without code is present, such as an identity, is passed all the same.
        has_initialize = bool(declarations or template.parameters)
        return Class(name, "nn.Module", docstring, (initialize, forward) if has_initialize else (forward,))


def _number_assignments(template: Template, attributes: Mapping[str, str]) -> Iterator[Assign]:
    """The statements of `__init__` that compute numbers from parameters, and store those that `forward` reads."""
    computed = dict(template.computed)
    in_setup = {name for unit in template.units for layer in unit.setup for name in names_in(layer.value)}
    in_setup |= {name for value in computed.values() for name in names_in(value)}
    for parameter in template.parameters:
        if parameter.name in attributes:
            yield Assign(attributes[parameter.name], Name(parameter.name))
    for name, value in computed.items():
        if name in in_setup or name not in attributes:
            yield Assign(name, value)
        if name in attributes:
            yield Assign(attributes[name], Name(name) if name in in_setup else value)


def _with_heads(forward: Function, count: int, main: Sequence[Name]) -> Function:
    """Move the last `count` statements, which compute heads, under `if self.training`; else return the main outputs."""
    cut = len(forward.body) - 1 - count  # the last statement returns all outputs
    heads = tuple(statement for statement in forward.body[cut:] if not isinstance(statement, If))
    return_main = Return(main[0] if len(main) == 1 else TupleOf(tuple(main)))
    returns = f"{'Tensor' if len(main) == 1 else _tuple_of_tensors(len(main))} | {forward.returns}"
    return replace(forward, body=(*forward.body[:cut], If(Name("self.training"), heads), return_main), returns=returns)


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


def _tuple_of_tensors(count: int) -> str:
    """The annotation of several outputs, spelled out: TorchScript does not support `tuple[Tensor, ...]`."""
    return f"tuple[{', '.join(['Tensor'] * count)}]"
