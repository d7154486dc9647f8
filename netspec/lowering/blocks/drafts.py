"""Drafts of parts: the statements that lowerings emit for each part, before equal parts share a class or function."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from netspec.errors import UnsupportedError
from netspec.graph import Formula, Graph, Node
from netspec.lowering.blocks.formulas import lists_in
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.parts import Part, local_name, name_of_input, name_of_output, values_of
from netspec.lowering.blocks.template import MARK, Template, Unit, member_in, variable_of, variables_in
from netspec.lowering.python.naming import Step, available, identifier, names_of_steps, variables_of
from netspec.lowering.python.rewrite import targets_of
from netspec.lowering.python.source import Expression, Name
from netspec.lowering.python.statements import Assign, Statement, Unpack
from netspec.types import TensorType

MAP: Final = 4  # the rank of a feature map


class PartDraft:
    """The statements that compute a part, by member, over provisional variables.

    Provisional variables are named after their place in the part, so that equal parts have equal statements. Those
    between the instances of a nested stack include the number of the instance.
    """

    def __init__(self, part: Part, graph: Graph) -> None:
        self.part = part
        self.received = [graph.type_of(value) for value in part.inputs]
        self.variables: dict[str, str] = {}
        for index, value in enumerate(part.inputs):
            self.variables.setdefault(value, f"{MARK}{index}")
        self._statements: dict[str, list[Statement]] = {}
        self._inner: dict[str, str] = {}  # provisional variables within stacks, and the names that they are to get
        self._padded: dict[str, str] = {}  # variables of padded inputs, and those of the outputs computed from them
        self._aliases: set[str] = set()  # values that are read in the variable of another one
        self._writers: dict[str, str] = {}  # members whose expressions another member's statements use, by name
        for member in part.members:
            values = values_of(member)
            variable = variable_of(local_name(member, part))
            for index, value in enumerate(values):
                self.variables[value] = variable if len(values) == 1 else f"{variable}_{index}"
            if isinstance(member, Part) and member.is_stack:
                self._add_inner(member)

    def _add_inner(self, stack: Part) -> None:
        """Add the values between the instances of a stack; in a linked stack they share its outputs' variables."""
        place = variable_of(local_name(stack, self.part)).replace(MARK, f"{MARK}in", 1)
        for each in reversed(stack.instances):
            for index, value in enumerate(each.outputs):
                if stack.is_linked and each is not stack.instances[-1]:
                    self.variables[value] = self.variables[stack.instances[-1].outputs[index]]
                elif value not in self.variables:
                    variable = f"{place}_{each.name}_{index}"
                    self.variables[value] = variable
                    name = stack.name if stack.is_linked else f"{stack.name}_{each.name}"
                    self._inner[variable] = name if len(each.outputs) == 1 else f"{name}_{name_of_output(each, value)}"

    def variable(self, value: str) -> Name:
        """The variable that holds a value."""
        return Name(self.variables[value])

    def alias(self, value: str, other: str) -> None:
        """Read a value that no statement computes in the variable of another, which has to outlive its readers."""
        self.variables[value] = self.variables[other]
        self._aliases.add(value)

    def write_in(self, writer: Node, row: Iterable[Node]) -> None:
        """Let the statements of a node use the spec's expressions of others that they compute too."""
        name = local_name(writer, self.part)
        self._writers |= {local_name(node, self.part): name for node in row if node is not writer}

    def padded(self, value: str) -> Name:
        """The provisional variable of the padded input of a value; in source it has the same name as the value."""
        variable = f"{self.variables[value]}_r"
        self._padded[variable] = self.variables[value]
        return Name(variable)

    def is_padded(self, variable: str) -> bool:
        """Whether a variable holds a padded input."""
        return variable in self._padded

    def first_input(self) -> Name:
        """The variable of the part's first input, from which the batch size can be read.

        Raises:
            UnsupportedError: the part has no input.
        """
        if not self.part.inputs:
            raise UnsupportedError(
                f"{self.part.path or 'the network'} reads nothing that tells how many samples there are"
            )
        return self.variable(self.part.inputs[0])

    def run(self, member: Node | Part, statement: Statement) -> None:
        """Append a statement to those that compute a member."""
        self._statements.setdefault(local_name(member, self.part), []).append(statement)

    def statements(self, member: Node | Part) -> tuple[Statement, ...]:
        """The statements that compute a member."""
        return tuple(self._statements.get(local_name(member, self.part), ()))

    def assign(self, part: Part, applied: Expression, comment: str) -> Statement:
        """The statement that assigns the outputs of a nested part; `applied` is the call of it."""
        targets = tuple(self.variables[value] for value in part.outputs)
        return Assign(targets[0], applied, comment) if len(targets) == 1 else Unpack(targets, applied)

    def channels(self, first: str) -> dict[str, tuple[str, int]]:
        """The inputs and their channels by the name of a hint: `first` for the first input, `{input}_channels` else."""
        later = range(1, len(self.part.inputs))
        names = (first, *(f"{name_of_input(self.part, position)}_channels" for position in later))
        inputs = zip(names, self.part.inputs, self.received, strict=True) if self.received else ()
        return {
            name: (value, _channels_of(type)) for name, value, type in inputs if type.features and name != "_channels"
        }

    def sizes(self) -> dict[str, tuple[str, int]]:
        """The maps among the inputs and their heights and widths by the name of a hint: `height`, `{input}_height`.

        The height of a map is followed by its width.
        """
        sizes: dict[str, tuple[str, int]] = {}
        arguments = dict(self.part.scope.arguments) if self.part.scope else {}
        for position, (value, type) in enumerate(zip(self.part.inputs, self.received, strict=True)):
            own = f"{name_of_input(self.part, position)}_"
            prefix = own if position or not arguments.keys().isdisjoint(("height", "width")) else ""
            if type.rank == MAP and prefix != "_" and value not in self.part.inputs[:position]:
                _, height, width = type.features
                sizes |= {f"{prefix}height": (value, height), f"{prefix}width": (value, width)}
        return sizes

    def given(self, channels: str, *, sizes: bool = False) -> Given:
        """The arguments of the instance, with the channels of its first input as a hint of this name.

        Args:
            channels: the name of that hint.
            sizes: whether heights and widths of inputs are hints too, for the source can read them off the inputs.
        """
        scope = self.part.scope
        if scope is None or not scope.block:
            return Given()
        inputs = self.channels(channels)
        read = self.sizes() if sizes else {}
        counts = ((name, count) for name, (_, count) in (*inputs.items(), *read.items()))
        hints = (*scope.arguments, *lists_in(scope.formulas, scope.names), *counts)
        others = tuple(name for name in inputs if name != channels)
        received: dict[str, str] = {}
        for name, (value, _) in inputs.items():
            received.setdefault(self.variables[value], name)
        return Given(hints, tuple(self._formulas(scope.formulas)), scope.names, channels, others, received, tuple(read))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The provisional variables of the part's inputs; one that has the value of an earlier one has its variable."""
        return tuple(self.variables[value] for value in self.part.inputs)

    def parameters(self, names: Mapping[str, str], reserved: Collection[str]) -> list[str]:
        """The final names of the part's inputs, given those of variables; distinct, even where they have one value."""
        parameters: list[str] = []
        for position, variable in enumerate(self.inputs):
            name = names[variable]
            if name in parameters:
                taken = {*reserved, *names.values(), *parameters}
                name = available(identifier(name_of_input(self.part, position) or name), taken)
            parameters.append(name)
        return parameters

    def names_in(self, template: Template, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
        """The final name of each provisional variable of a template that the part is an instance of."""
        if not template.is_mixed:
            return template.join(self.names(reserved, chain_inputs=chain_inputs))
        steps = [
            Step({name for statement in unit.run for name in variables_in(statement)}, _targets(unit))
            for unit in template.units
            if unit.run
        ]
        inputs = {
            variable: name_of_input(self.part, position) or "y"
            for position, variable in reversed([*enumerate(self.inputs)])
        }
        return names_of_steps(dict(reversed(inputs.items())), steps, template.results, reserved)

    def _formulas(self, formulas: Iterable[Formula]) -> Iterator[Formula]:
        """The expressions, also as those of the members whose statements use them."""
        for formula in formulas:
            yield formula
            if formula.layer in self._writers:
                yield formula._replace(layer=self._writers[formula.layer])

    def names(self, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
        """The final name of each provisional variable."""
        final = variables_of(self.part, reserved, chain_inputs=chain_inputs)
        names = {
            self.variables[value]: name
            for value, name in final.items()
            if self.variables[value].startswith(MARK) and value not in self._aliases
        }
        for inner, wanted in self._inner.items():
            names[inner] = available(identifier(wanted), {*names.values(), *reserved})
        return names | {padded: names[output] for padded, output in self._padded.items() if output in names}


def _targets(unit: Unit) -> dict[str, str]:
    """The variables that a unit assigns, and what they are to be called."""
    assigned = dict.fromkeys(target for statement in unit.run for target in targets_of(statement))
    return {variable: member_in(variable) or unit.name for variable in assigned}


def _channels_of(received: TensorType) -> int:
    """The number of channels of a feature map, or the length of the last axis."""
    return received.features[0 if received.rank == MAP else -1]
