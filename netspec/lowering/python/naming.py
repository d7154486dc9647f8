"""Names in emitted source: of modules and classes, and of variables, many of which are the running variable `x`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from netspec.graph import Node
from netspec.lowering.blocks.equal_parts import all_parts
from netspec.lowering.blocks.parts import Part, local_name, name_of_input, name_of_output, values_of
from netspec.ops import Slice

RUNNING = "x"
INPUT = "input"  # the name of an input that the spec does not name
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


class Step(NamedTuple):
    """What a member of a part, or a unit of source, reads and assigns.

    Attributes:
        reads: the values that it reads.
        assigns: the values that it computes, and what their variables are to be called.
        keeps: values that it reads again once it has computed some.
    """

    reads: Collection[str]
    assigns: Mapping[str, str]
    keeps: Collection[str] = ()


def variables_of(part: Part, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
    """Name the variable of each value that the members of a part read or compute, as `names_of_steps` does.

    Args:
        part: the network, or a part of it.
        reserved: names that the source uses otherwise; a variable that would have one gets an underscore.
        chain_inputs: False if inputs of the network are read again at the end, and so must keep their names.
    """
    steps = list(_steps_of(part))
    if part.scope is not None:
        inputs = {value: name_of_input(part, part.inputs.index(value)) or "y" for value in part.inputs}
        return names_of_steps(inputs, steps, part.outputs, reserved)
    readers = _readers(steps, part.outputs)
    chain_inputs = chain_inputs and [readers.get(value) for value in part.inputs] == [[0]]  # an only one, read once
    inputs = {value: value for value in part.inputs}
    return names_of_steps(inputs, steps, part.outputs, reserved, chain_inputs=chain_inputs)


def _steps_of(part: Part) -> Iterator[Step]:
    """What the members of a part read and compute, in order; all equal parts of a value are taken in one step."""
    taken: set[str] = set()
    for member in part.members:
        if isinstance(member, Node) and isinstance(member.op, Slice) and member.op.of is not None:
            if member.name not in taken:
                together = all_parts(part.members, member) or (member,)
                taken.update(each.name for each in together)
                yield Step(member.inputs, {each.name: local_name(each, part) for each in together})
        else:
            yield Step(member.inputs, _wanted_names(member, part), _kept_by(member))


def _wanted_names(member: Node | Part, part: Part) -> dict[str, str]:
    """The values of a member, and what their variables are to be called unless they are on a chain."""
    name = local_name(member, part)
    if isinstance(member, Node) or len(member.outputs) == 1:
        return dict.fromkeys(values_of(member), name)
    return {value: f"{name}_{name_of_output(member, value)}" for value in member.outputs}


def _kept_by(member: Node | Part) -> tuple[str, ...]:
    """The values that a linked stack still reads after its first instance, whose output may be in `x` by then."""
    return member.constant_inputs if isinstance(member, Part) and member.is_linked else ()


def names_of_steps(
    inputs: Mapping[str, str],
    steps: Sequence[Step],
    results: Sequence[str],
    reserved: Collection[str],
    *,
    chain_inputs: bool = True,
) -> dict[str, str]:
    """Name the variable of each value. Along a chain it is `x`; elsewhere it is named after the value.

    A value is on the chain if only the next step reads it, or if it is the last value and the only result. So is the
    first input if `x` is not needed for another value before its last reader, unless it is one of several with names.

    Args:
        inputs: the inputs, and what their variables are to be called.
        steps: what is read and computed, in order.
        results: the values that are returned.
        reserved: names that the source uses otherwise; a variable that would have one gets an underscore.
        chain_inputs: whether the first input may be on the chain.

    >>> steps = [Step({"i"}, {"v": "a"}), Step({"v"}, {"w": "b"}), Step({"i", "w"}, {"s": "sum"})]
    >>> names_of_steps({"i": "input"}, steps, ["s"], ())
    {'i': 'input', 'v': 'x', 'w': 'x', 's': 'x'}
    """
    readers = _readers(steps, results)
    chained = [
        _is_on_chain(index, steps, readers, results) and inputs.keys().isdisjoint(step.assigns)
        for index, step in enumerate(steps)
    ]
    taken = {RUNNING, *reserved}
    names: dict[str, str] = {}

    def add(value: str, wanted: str) -> None:
        names[value] = available(identifier(wanted), taken)
        taken.add(names[value])

    for position, (value, wanted) in enumerate(inputs.items()):
        may_chain = chain_inputs and position == 0 and (len(inputs) == 1 or wanted in {INPUT, RUNNING})
        if may_chain and not any(chained[: readers.get(value, [0])[-1]]):
            names[value] = RUNNING
        else:
            add(value, wanted)
    for step, on_chain in zip(steps, chained, strict=True):
        for value, wanted in step.assigns.items():
            if on_chain:
                names[value] = RUNNING
            elif len(step.assigns) > 1 and value not in readers:
                names[value] = UNREAD
            elif value not in names:
                add(value, wanted)
    return names


def _readers(steps: Sequence[Step], results: Sequence[str]) -> dict[str, list[int]]:
    """The positions of the steps that read each value; of what is returned, also the position after the last.

    What a step reads again counts as read by the next one.
    """
    readers: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        for value in dict.fromkeys(step.reads):
            readers.setdefault(value, []).append(index)
        for value in step.keeps:
            readers.setdefault(value, []).append(index + 1)
    for value in results:
        readers.setdefault(value, []).append(len(steps))
    return readers


def _is_on_chain(
    index: int, steps: Sequence[Step], readers: Mapping[str, Sequence[int]], results: Sequence[str]
) -> bool:
    """Whether a step computes one value, which only the next one reads, or which is all that is returned."""
    value, *others = steps[index].assigns
    last = index == len(steps) - 1
    return not others and readers.get(value) == [index + 1] and (not last or tuple(results) == (value,))
