"""Names in emitted source: of modules and classes, and of variables, many of which are the running variable `x`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from netspec.lowering.blocks.parts import Part, local_name, name_of_input, name_of_output, values_of

RUNNING = "x"
UNREAD = "_"  # for an output of a part with several that is never read


def module_name(spec_name: str) -> str:
    """Convert a spec's name to the name of a Python module.

    >>> module_name("alexnet-2012"), module_name("2012"), module_name("class")
    ('alexnet_2012', 'net_2012', 'class_')
    """
    return available(_letter_first(re.sub(r"\W", "_", spec_name, flags=re.ASCII), "net_"), ())


def class_name(spec_name: str, taken: Collection[str] = ()) -> str:
    """Convert a spec's name to the name of a class.

    >>> class_name("cifar-alexnet-keras"), class_name("2012"), class_name("none"), class_name("tensor", ("Tensor",))
    ('CifarAlexnetKeras', 'Net2012', 'None_', 'Tensor_')
    >>> class_name("relu6_2")
    'Relu6_2'
    """
    words = [w for w in re.split(r"[^A-Za-z0-9]+", spec_name) if w]
    name = ""
    for word in words:
        name += ("_" if name[-1:].isdigit() and word[0].isdigit() else "") + word[0].upper() + word[1:]
    return available(_letter_first(name, "Net"), taken)


def _letter_first(wanted: str, prefix: str) -> str:
    return wanted if wanted[:1].isalpha() or wanted.startswith("_") else prefix + wanted


def identifier(path: str) -> str:
    """Convert a dotted path to an identifier.

    >>> identifier("stage2.1.conv2")
    'stage2_1_conv2'
    """
    return path.replace(".", "_")


def available(wanted: str, taken: Collection[str]) -> str:
    """Return `wanted`, with underscores appended until it is neither a keyword nor taken.

    Raises:
        ValueError: `wanted` is not an ASCII identifier. (Names in specs are checked when the spec is read.)
    """
    if not (wanted.isascii() and wanted.isidentifier()):
        raise ValueError(f"not a name: {wanted!r}")
    while wanted in taken or keyword.iskeyword(wanted):
        wanted += "_"
    return wanted


def variables_of(part: Part, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
    """Name the variable of each value that the members of a part read or compute.

    Along a chain the variable is `x`; elsewhere it is named after the value. A value is on the chain if only the next
    member reads it, or if it is the last value and the only output. So is the network's only input if only the first
    member reads it, and a block's first input if `x` is not needed for another value before its last reader.

    A value that every instance of a stack reads is never `x`, because the outputs of the instances may be.

    Args:
        part: the network, or a part of it.
        reserved: names that the source uses otherwise; a variable that would have one gets an underscore.
        chain_inputs: False if inputs of the network are read again at the end, and so must keep their names.
    """
    readers = _readers(part)
    variables: dict[str, str] = {}
    taken = {RUNNING, *reserved}

    def add(value: str, wanted: str) -> None:
        variables[value] = available(identifier(wanted), taken)
        taken.add(variables[value])

    chained = [_on_chain(part, index, readers) for index in range(len(part.members))]
    for position, value in enumerate(dict.fromkeys(part.inputs)):
        read_by = readers.get(value, [])
        if part.scope is None:
            on_chain = len(part.inputs) == 1 and chain_inputs and read_by == [0] and value not in part.outputs
        else:
            on_chain = position == 0 and not any(chained[: read_by[-1] if read_by else 0])
        if on_chain:
            variables[value] = RUNNING
        else:
            add(value, name_of_input(part, part.inputs.index(value)) or (value if part.scope is None else "y"))
    for index, member in enumerate(part.members):
        values = values_of(member)
        for value in values:
            if chained[index]:
                variables[value] = RUNNING
            elif len(values) > 1 and value not in readers and value not in part.outputs:
                variables[value] = UNREAD
            else:
                name = local_name(member, part)
                if isinstance(member, Part) and len(values) > 1:
                    name += f"_{name_of_output(member, value)}"
                add(value, name)
    return variables


class Step(NamedTuple):
    """What a unit reads and assigns.

    Attributes:
        name: the name of the unit.
        reads: the variables that it reads.
        assigns: the variables that it assigns, the last of which is its output.
    """

    name: str
    reads: frozenset[str]
    assigns: tuple[str, ...]


def names_of_steps(
    inputs: Mapping[str, str], steps: Sequence[Step], results: Sequence[str], reserved: Collection[str]
) -> dict[str, str]:
    """Name the variables of a block whose instances differ in what they read; `x` along a chain, as in `variables_of`.

    Args:
        inputs: the variables of the inputs, with their names in the block.
        steps: what each unit reads and assigns.
        results: the variables of the outputs.
        reserved: names that the source uses otherwise.

    >>> steps = [Step("a", frozenset({"i"}), ("v",)), Step("b", frozenset({"v"}), ("w",)),
    ...          Step("sum", frozenset({"i", "w"}), ("s",))]
    >>> names_of_steps({"i": "input"}, steps, ["s"], ())
    {'i': 'input', 'v': 'x', 'w': 'x', 's': 'x'}
    """
    readers: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        for variable in step.reads:
            readers.setdefault(variable, []).append(index)
    taken = {RUNNING, *reserved}
    names: dict[str, str] = {}

    def add(variable: str, wanted: str) -> None:
        names[variable] = available(identifier(wanted), taken)
        taken.add(names[variable])

    def is_on_chain(index: int) -> bool:
        variables = steps[index].assigns
        if len(variables) != 1 or variables[0] in inputs:
            return False
        last = tuple(results) == variables and index == len(steps) - 1
        return last or (readers.get(variables[0]) == [index + 1] and variables[0] not in results)

    chained = [is_on_chain(index) for index in range(len(steps))]
    for position, (variable, wanted) in enumerate(inputs.items()):
        read = readers.get(variable, [0])
        if position == 0 and not any(chained[: read[-1]]) and variable not in results:
            names[variable] = RUNNING
        else:
            add(variable, wanted)
    for index, step in enumerate(steps):
        for number, variable in enumerate(step.assigns):
            if chained[index]:
                names[variable] = RUNNING
            elif variable not in names:
                add(variable, step.name if number == len(step.assigns) - 1 else f"{step.name}_{number}")
    return names


def _readers(part: Part) -> dict[str, list[int]]:
    """The positions of the members that read each value.

    A linked stack still reads its constant inputs after its first instance, so they count as read by the next member.
    """
    readers: dict[str, list[int]] = {}
    for index, member in enumerate(part.members):
        for value in dict.fromkeys(member.inputs):
            readers.setdefault(value, []).append(index)
        for value in member.constant_inputs if isinstance(member, Part) and member.is_linked else ():
            readers.setdefault(value, []).append(index + 1)
    return readers


def _on_chain(part: Part, index: int, readers: dict[str, list[int]]) -> bool:
    """Whether a member has a single output, which only the next member reads, or which is all that the part returns."""
    values = values_of(part.members[index])
    if len(values) > 1:
        return False
    if values == part.outputs and index == len(part.members) - 1:
        return True
    return readers.get(values[0]) == [index + 1] and values[0] not in part.outputs
