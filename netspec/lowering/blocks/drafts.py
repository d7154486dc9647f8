"""What the lowerings say about each part of a graph, before parts that are alike share a class or a function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from netspec.errors import UnsupportedError
from netspec.graph import Graph, Node
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.parameters import Parameter
from netspec.lowering.blocks.parts import Part, local_name, name_of_input, name_of_output, values_of
from netspec.lowering.python.expressions import render_expression
from netspec.lowering.python.naming import available, identifier, variables_of
from netspec.lowering.python.rewrite import names_in, rename
from netspec.lowering.python.source import Assign, Conditional, Expression, For, If, Literal, Name, Statement, Unpack
from netspec.types import TensorType

MARK: Final = "value__"  # what variables are called until there are names for them


class PartDraft:
    """The statements that compute a part, by member.

    Variables are called after the place that they have in the part, so that those of parts that are alike are equal;
    what only a stack within has, after its number there.
    """

    def __init__(self, part: Part, graph: Graph) -> None:
        self.part = part
        self.received = [graph.type_of(value) for value in part.inputs]
        self.variables = {value: f"{MARK}{index}" for index, value in enumerate(part.inputs)}
        self._statements: dict[str, list[Statement]] = {}
        self._inner: dict[str, str] = {}
        self._padded: dict[str, str] = {}  # variables of what is padded, and of what comes of it
        self._standing: set[str] = set()
        for member in part.members:
            values = values_of(member)
            own = _place(local_name(member, part))
            for index, value in enumerate(values):
                self.variables[value] = own if len(values) == 1 else f"{own}_{index}"
            if isinstance(member, Part) and member.is_stack:
                self._add_inner(member)

    def _add_inner(self, stack: Part) -> None:
        """The values that instances of a stack hand on; in a linked stack, in the variables of its outputs."""
        place = _place(local_name(stack, self.part)).replace(MARK, f"{MARK}in", 1)
        for each in reversed(stack.instances):
            for index, value in enumerate(each.outputs):
                if stack.is_linked and each is not stack.instances[-1]:
                    self.variables[value] = self.variables[stack.instances[-1].outputs[index]]
                elif value not in self.variables:
                    own = f"{place}_{each.name}_{index}"
                    self.variables[value] = own
                    name = stack.name if stack.is_linked else f"{stack.name}_{each.name}"
                    self._inner[own] = name if len(each.outputs) == 1 else f"{name}_{name_of_output(each, value)}"

    def variable(self, value: str) -> Name:
        """The variable that holds a value."""
        return Name(self.variables[value])

    def stand_for(self, value: str, other: str) -> None:
        """Let a value that no statement computes be read where another one is, which is still there when it is read."""
        self.variables[value] = self.variables[other]
        self._standing.add(value)

    def padded(self, value: str) -> Name:
        """The variable of what a value is made of, with padding around it: in source the same as that of the value."""
        own = f"{self.variables[value]}_r"
        self._padded[own] = self.variables[value]
        return Name(own)

    def is_padded(self, variable: str) -> bool:
        """Whether a variable holds what is padded."""
        return variable in self._padded

    def first_input(self) -> Name:
        """The variable of the first value that comes from outside: it always holds one, of as many samples.

        Raises:
            UnsupportedError: nothing does.
        """
        if not self.part.inputs:
            raise UnsupportedError(
                f"{self.part.path or 'the network'} reads nothing that tells how many samples there are"
            )
        return self.variable(self.part.inputs[0])

    def run(self, member: Node | Part, statement: Statement) -> None:
        """Append to what computes a member."""
        self._statements.setdefault(local_name(member, self.part), []).append(statement)

    def statements(self, member: Node | Part) -> tuple[Statement, ...]:
        """What computes a member."""
        return tuple(self._statements.get(local_name(member, self.part), ()))

    def assign(self, part: Part, applied: Expression, comment: str) -> Statement:
        """The outputs of a part within, which this expression gives."""
        targets = tuple(self.variables[value] for value in part.outputs)
        return Assign(targets[0], applied, comment) if len(targets) == 1 else Unpack(targets, applied)

    def channels(self, own: str) -> dict[str, tuple[str, int]]:
        """The channels of each input, and which that is: those of the first by this name, of others by theirs."""
        names = (own, *(f"{name_of_input(self.part, value)}_channels" for value in self.part.inputs[1:]))
        arriving = zip(names, self.part.inputs, self.received, strict=True) if self.received else ()
        return {
            name: (value, _channels_of(type)) for name, value, type in arriving if type.features and name != "_channels"
        }

    def given(self, channels: str) -> Given:
        """What the part was given, and how many channels it receives, by this name."""
        scope = self.part.scope
        if scope is None or not scope.block:
            return Given()
        arriving = self.channels(channels)
        hints = (*scope.arguments, *((name, count) for name, (_, count) in arriving.items()))
        others = tuple(name for name in arriving if name != channels)
        received = {self.variables[value]: name for name, (value, _) in arriving.items()}
        return Given(hints, scope.formulas, scope.seen, channels, others, received)

    def names(self, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
        """What its variables are called in source, by what they are called until then."""
        variables = variables_of(self.part, reserved, chain_inputs=chain_inputs)
        own = {value: self.variables[value] for value in variables}  # or a name that is there already
        marked = [value for value in variables if own[value].startswith(MARK) and value not in self._standing]
        names = {own[value]: variables[value] for value in marked}
        for inner, wanted in self._inner.items():
            names[inner] = available(identifier(wanted), {*names.values(), *reserved})
        return names | {own: names[value] for own, value in self._padded.items() if value in names}


def _channels_of(received: TensorType) -> int:
    """How many channels a value has: those of a map, or the last axis."""
    return received.features[0 if received.rank == 4 else -1]


def _place(local: str) -> str:
    """A variable for a member: no two names in a part give the same, nor with what may come behind it."""
    return f"{MARK}_{local.replace('_', '__').replace('.', '_p')}"


def named_statements(statements: Sequence[Statement], names: Mapping[str, str]) -> tuple[Statement, ...]:
    """The statements with variables as they are called; a variable that is given to itself is no statement."""
    renamed = [rename(statement, names) for statement in statements]
    return tuple(s for s in renamed if not (isinstance(s, Assign) and s.value == Name(s.target)))


def with_conditions(statements: Iterable[Statement | For | If]) -> Iterator[Statement | For | If]:
    """The statements; those that may leave a variable as it is stand under the condition alone, all in a row."""
    waiting: If | None = None
    for statement in statements:
        match statement:
            case Assign(target, Conditional(value, test, Name(kept))) if kept == target:
                same = waiting if waiting is not None and waiting.test == test else None
                if waiting is not None and same is None:
                    yield waiting
                waiting = If(test, (*(same.body if same else ()), Assign(target, value)))
            case _:
                if waiting is not None:
                    yield waiting
                waiting = None
                yield statement
    if waiting is not None:
        yield waiting


def new_shape(received: Sequence[TensorType], given: TensorType) -> str:
    """A shape for a comment, where it is not that of what is read."""
    return "" if given in received else str(given)


def blocks_of(root: Part) -> dict[str, list[Part]]:
    """The instances of each block in a network, each block after those that its instances hold."""
    instances: dict[str, list[Part]] = {}
    for part in root.walk():
        if part.block:
            instances.setdefault(part.block, []).append(part)
    holds = {
        block: {within.block for part in parts for within in part.walk() if within.block} - {block}
        for block, parts in instances.items()
    }
    done: dict[str, list[Part]] = {}
    visited: set[str] = set()

    def visit(block: str) -> None:
        if block in visited:
            return
        visited.add(block)
        for inner in instances:
            if inner in holds[block]:
                visit(inner)
        done[block] = instances[block]

    for block in instances:
        visit(block)
    return done


def variant_names(block: str, variants: Sequence[Sequence[Part]]) -> list[str]:
    """What classes or functions of one block are called, given the instances of each.

    Where a word or a switch that the instances were given tells them apart, after that, `conv_bn_relu` or
    `conv_bn_swish` for `swish: true`; else after what all of one are called, `conv_bn_stem`; else by number.
    """
    constant = [_constant_words(parts) for parts in variants]
    telling = [
        key
        for key in constant[0]
        if all(key in words for words in constant) and len({words[key] for words in constant}) > 1
    ]
    said = [[key if words[key] is True else words[key] for key in telling] for words in constant]
    found = ["_".join([block, *(word for word in words if isinstance(word, str))]) for words in said]
    places = [{_place_of(part) for part in parts} for parts in variants]
    for index, (name, own) in enumerate(zip(tuple(found), places, strict=True)):
        others = [where for other, where in enumerate(places) if other != index]
        if found.count(name) > 1 and len(own) == 1 and not any(own & where for where in others):
            found[index] = f"{name}_{min(own)}"
    seen: Counter[str] = Counter()
    for index, name in enumerate(found):
        seen[name] += 1
        found[index] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return found


def _place_of(part: Part) -> str:
    """What an instance is called where it stands; of one in a stack, what that is called."""
    return next((own for own in reversed(part.path.split(".")) if not own.isdecimal()), "")


def _constant_words(parts: Sequence[Part]) -> dict[str, str | bool]:
    """The words and switches that all of these instances were given alike."""
    given = [dict(part.scope.arguments) if part.scope else {} for part in parts]
    return {
        key: value
        for key, value in given[0].items()
        if (isinstance(value, bool) or (isinstance(value, str) and value.isascii() and value.isidentifier()))
        and all(key in own and own[key] == value for own in given)
    }


def describe_instances(parts: Sequence[Part]) -> str:
    """For a docstring: which block it is, and where it stands."""
    where = parts[0].path if len(parts) == 1 else f"{len(parts)} times, {parts[0].path} to {parts[-1].path}"
    return f"The block `{parts[0].block}`: {where}."


def parameter_text(parameter: Parameter) -> str:
    """`width: int`, `stride: int = 1`."""
    stated = f"{parameter.name}: {parameter.annotation}"
    return stated if parameter.default is None else f"{stated} = {render_expression(Literal(parameter.default))}"


def variables_in(statement: Statement) -> Iterator[str]:
    """The variables of a draft that a statement reads, in order."""
    return (name for name in names_in(statement.value) if name.startswith(MARK))


def merges_in(run: Sequence[Statement]) -> tuple[tuple[str, ...], str] | None:
    """The variables that one statement reads, if it reads several, and the one that it gives."""
    if len(run) == 1 and isinstance(run[0], Assign):
        read = tuple(dict.fromkeys(variables_in(run[0])))
        if len(read) > 1:
            return read, run[0].target
    return None
