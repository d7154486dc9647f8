"""Classes of blocks: one for all instances that are the same statements up to numbers, which its `__init__` takes."""

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
    variables_in,
    variant_names,
    with_conditions,
)
from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.parts import Part, local_name, values_of
from netspec.lowering.blocks.stacks import in_a_row, starts_of
from netspec.lowering.blocks.template import Draft, Signature, Template, Unit
from netspec.lowering.python.naming import available, class_name
from netspec.lowering.python.rewrite import names_in, rename
from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Assign,
    Attribute,
    Call,
    Class,
    Do,
    Expression,
    Function,
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
from netspec_torch.loops import with_loops
from netspec_torch.reserved import MODULE_ATTRIBUTES
from netspec_torch.signatures import METHODS, SIGNATURES

# What emitted source uses for itself; a value of such a name gets an underscore.
LOCALS: Final = ("self", "torch", "nn", "F", "Tensor", "float")
# As arguments are annotated and made.
BUILTINS: Final = ("int", "bool", "str", "tuple", "range", "super", "_")
INITIALIZE_BASE: Final = Do(Call(Attribute(Call(Name("super")), "__init__")))


class BlockClasses:
    """Makes the classes that a network needs, and the expressions that make their instances.

    Args:
        drafts: what is emitted for each part, by path.
        taken: names that no class may have.
    """

    def __init__(self, drafts: Mapping[str, ModuleDraft], taken: Sequence[str]) -> None:
        self._drafts = drafts
        self._taken = [*taken, *BUILTINS]
        self._signatures: dict[str, Signature] = {**SIGNATURES, **METHODS}
        self._made: dict[str, Call] = {}  # by path: what makes an instance
        self._starts: dict[str, int] = {}

    def define(self, root: Part) -> list[Class]:
        """The classes of all blocks, each after those that it uses."""
        classes = []
        for block, parts in blocks_of(root).items():
            self._starts |= starts_of(parts, lambda part: self._made[part.path])
            reserved = (*LOCALS, *self._taken)
            generalizer = Generalizer(self._signature, reserved, call("nn.Identity"))
            groups = generalizer.group([self._draft(part) for part in parts])
            variants = [[parts[each] for each in members] for members, _ in groups]
            for wanted, own, (_, template) in zip(variant_names(block, variants), variants, groups, strict=True):
                classes.append(self._class(wanted, own, template))
        return classes

    def of_network(self, root: Part, entry: str, docstring: str, laid_out: Sequence[str], graph: Graph) -> Class:
        """The class of the network itself; inputs to be `laid_out` have their channels next to one another in memory.

        Convolutions and what follows them keep that. Auxiliary outputs are computed, and given, in training alone.
        """
        draft = self._draft(root)
        made = self._render(root, entry, docstring, Template(draft.units))
        variables = draft_names(self._drafts[root.path])
        first = [_laid_out(Name(variables[value])) for value in laid_out]
        *methods, forward = made.body
        forward = replace(forward, body=(*first, *forward.body))
        if graph.heads:
            pairs = zip(draft.units, root.members, strict=True)
            run = [s for unit, member in pairs if graph.for_heads.issuperset(values_of(member)) for s in unit.run]
            count = len(named_statements(run, self._drafts[root.path].names(LOCALS)))
            forward = _with_heads(forward, count, [Name(variables[output]) for output in graph.main])
        return replace(made, body=(*methods, forward))

    def _signature(self, function: str) -> Signature:
        return self._signatures.get(function, Signature())

    def _draft(self, part: Part) -> Draft:
        draft = self._drafts[part.path]
        units = tuple(self._unit(draft, member) for member in part.members)
        results = tuple(draft.variables[output] for output in part.outputs)
        return Draft(units, results, draft.given("in_channels"))

    def _unit(self, draft: ModuleDraft, member: Node | Part) -> Unit:
        layer = self._module(member) if isinstance(member, Part) else draft.declaration(member)
        setup = () if layer is None else (Assign(f"self.{draft.attribute(member)}", layer),)
        run = draft.statements(member)
        return Unit(local_name(member, draft.part), setup, run, _passes(setup, run), merges=merges_in(run))

    def _module(self, part: Part) -> Expression:
        """What makes a part: an instance of a block, or a stack of them."""
        if not part.is_stack:
            return self._made[part.path]
        made = [(member.name, self._made[member.path]) for member in part.members if isinstance(member, Part)]
        if part.is_chain:
            expressions = [expression for _, expression in made]
            row = in_a_row(expressions, self._starts, part.path) or tuple(_repeated(expressions))
            return Call(Name("nn.Sequential"), row)
        if [key for key, _ in made] == [str(index) for index in range(len(made))]:
            expressions = [expression for _, expression in made]
            row = tuple(_repeated(expressions))
            alike = len(row) == 1 and len(expressions) >= FEWEST_REPEATED
            return call("nn.ModuleList", ListOf(row if alike else tuple(expressions)))
        return call("nn.ModuleDict", ListOf(tuple(TupleOf((Literal(key), expression)) for key, expression in made)))

    def _class(self, wanted: str, parts: Sequence[Part], template: Template) -> Class:
        free = next((own for own in (wanted, f"{wanted}_block") if class_name(own) not in self._taken), wanted)
        made = class_name(free, self._taken)
        self._taken.append(made)
        self._signatures[made] = template.signature
        for index, part in enumerate(parts):
            positional, named = template.arguments(index)
            self._made[part.path] = call(made, *positional, **named)
        return self._render(parts[template.fullest], made, describe_instances(parts), template)

    def _kept(self, template: Template) -> dict[str, str]:
        """The attributes that hold the parameters, and what is computed from them, that `forward` reads."""
        read = {name for unit in template.units for statement in unit.run for name in names_in(statement.value)}
        layers = {made.target.removeprefix("self.") for unit in template.units for made in unit.setup}
        taken = {*MODULE_ATTRIBUTES, *layers}
        kept: dict[str, str] = {}
        for own in template.names:
            if own in read:
                attribute = available(own, taken)
                taken.add(attribute)
                kept[own] = f"self.{attribute}"
        return kept

    def _render(self, part: Part, made: str, docstring: str, template: Template) -> Class:
        draft = self._drafts[part.path]
        names = template.join(draft.names(LOCALS))
        kept = self._kept(template)
        run = [rename(statement, kept) for unit in template.units for statement in unit.run]
        body = tuple(with_conditions(with_loops(named_statements(run, names), {*LOCALS, *names.values()})))
        variables = {value: names[own] for value, own in draft.variables.items() if own in names}
        results = tuple(Name(variables[output]) for output in part.outputs)
        one = len(results) == 1
        forward = Function(
            "forward",
            ("self", *(f"{variables[value]}: Tensor" for value in part.inputs)),
            (*body, Return(results[0] if one else TupleOf(results))),
            returns="Tensor" if one else _tuple_of_tensors(len(results)),
        )
        declarations = [*_kept_numbers(template, kept), *(made for unit in template.units for made in unit.setup)]
        given = ("self", *map(parameter_text, template.parameters))
        initialize = Function("__init__", given, (INITIALIZE_BASE, *declarations), returns="None")
        return Class(made, "nn.Module", docstring, (initialize, forward) if declarations else (forward,))


def _kept_numbers(template: Template, kept: Mapping[str, str]) -> Iterator[Assign]:
    """What computes numbers from parameters, and the attributes that keep those that are read in `forward`."""
    computed = dict(template.computed)
    in_setup = {name for unit in template.units for made in unit.setup for name in names_in(made.value)}
    in_setup |= {name for value in computed.values() for name in names_in(value)}
    for parameter in template.parameters:
        if parameter.name in kept:
            yield Assign(kept[parameter.name], Name(parameter.name))
    for own, value in computed.items():
        if own in in_setup or own not in kept:
            yield Assign(own, value)
        if own in kept:
            yield Assign(kept[own], Name(own) if own in in_setup else value)


def draft_names(draft: ModuleDraft) -> dict[str, str]:
    """The variables that hold the values of a draft."""
    names = draft.names(LOCALS)
    return {value: names[own] for value, own in draft.variables.items() if own in names}


def _with_heads(forward: Function, count: int, main: Sequence[Name]) -> Function:
    """The last `count` statements, which compute heads, in training alone; else the main outputs are given."""
    cut = len(forward.body) - 1 - count  # the last of all gives everything
    heads = tuple(statement for statement in forward.body[cut:] if not isinstance(statement, If))
    given = Return(main[0] if len(main) == 1 else TupleOf(tuple(main)))
    returns = f"{'Tensor' if len(main) == 1 else _tuple_of_tensors(len(main))} | {forward.returns}"
    return replace(forward, body=(*forward.body[:cut], If(Name("self.training"), heads), given), returns=returns)


def _laid_out(variable: Name) -> Assign:
    return Assign(variable.path, call(Attribute(variable, "contiguous"), memory_format=Name("torch.channels_last")))


def _passes(setup: Sequence[Assign], run: Sequence[Statement]) -> tuple[str, str] | None:
    """The variables between which a module stands that could be `nn.Identity`, or a function that could be left out."""
    match setup, run:
        case [Assign(target)], [Assign(given, Call(Name(called), (Name(read),), ()))] if called == target:
            return read, given
        case [], [Assign(given) as statement] if len(variables := set(variables_in(statement))) == 1:
            return variables.pop(), given
    return None


def _repeated(made: Sequence[Expression]) -> Iterator[Expression]:
    """The same expressions, a run of equal ones as one that is repeated."""
    for expression, run in groupby(made):
        yield Repeated(expression, Literal(len(list(run))))


def _tuple_of_tensors(count: int) -> str:
    """The type of several outputs, each of them named: TorchScript takes no `tuple[Tensor, ...]`."""
    return f"tuple[{', '.join(['Tensor'] * count)}]"
