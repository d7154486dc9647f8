"""Names in emitted source: classes from spec names, and which values share the running variable `x`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection

from netspec.lowering.blocks.parts import Part, local_name, name_of_input, name_of_output, values_of

RUNNING = "x"
UNREAD = "_"  # one of several values of a part, which nobody reads


def module_name(spec_name: str) -> str:
    """A spec's name as a Python module.

    >>> module_name("alexnet-2012"), module_name("2012"), module_name("class")
    ('alexnet_2012', 'net_2012', 'class_')
    """
    return available(_letter_first(re.sub(r"\W", "_", spec_name, flags=re.ASCII), "net_"), ())


def class_name(spec_name: str, taken: Collection[str] = ()) -> str:
    """A spec's name as a class.

    >>> class_name("cifar-alexnet-keras"), class_name("2012"), class_name("none"), class_name("tensor", ("Tensor",))
    ('CifarAlexnetKeras', 'Net2012', 'None_', 'Tensor_')
    >>> class_name("relu6_2")
    'Relu6_2'
    """
    words = [w for w in re.split(r"[^A-Za-z0-9]+", spec_name) if w]
    made = ""
    for word in words:
        made += ("_" if made[-1:].isdigit() and word[0].isdigit() else "") + word[0].upper() + word[1:]
    return available(_letter_first(made, "Net"), taken)


def _letter_first(wanted: str, prefix: str) -> str:
    return wanted if wanted[:1].isalpha() or wanted.startswith("_") else prefix + wanted


def identifier(path: str) -> str:
    """A path as one name.

    >>> identifier("stage2.1.conv2")
    'stage2_1_conv2'
    """
    return path.replace(".", "_")


def available(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, with underscores behind it until it is no keyword and not taken.

    Raises:
        ValueError: it is no identifier at all; names of specs are checked long before.
    """
    if not (wanted.isascii() and wanted.isidentifier()):
        raise ValueError(f"not a name: {wanted!r}")
    while wanted in taken or keyword.iskeyword(wanted):
        wanted += "_"
    return wanted


def variables_of(part: Part, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
    """The variable that holds each value which the members of a part read or give.

    It is `x` along a chain, and the value's own name where it is read later. A value is on the chain when only the next
    member reads it; so is a single input, and a single output that is the last value. The first input of a block is on
    the chain too until it is read for the last time: nothing else may need `x` before.

    A value that every instance of a stack reads is never `x`: the outputs of the instances may be.

    Args:
        part: the network, or a part of it.
        reserved: names that the source uses for other things; a value of such a name gets an underscore.
        chain_inputs: False where inputs of the network are read again at the end, and so keep their names.
    """
    readers = _readers(part)
    variables: dict[str, str] = {}
    taken = {RUNNING, *reserved}
    last = len(part.members) - 1

    def own_name(value: str, wanted: str) -> None:
        variables[value] = available(identifier(wanted), taken)
        taken.add(variables[value])

    chained = [_on_chain(part, index, readers) for index in range(len(part.members))]
    if part.members:
        chained[last] |= values_of(part.members[last]) == part.outputs and len(part.outputs) == 1
    for position, value in enumerate(part.inputs):
        read = readers.get(value, [])
        if part.scope is None:
            runs = len(part.inputs) == 1 and chain_inputs and read == [0] and value not in part.outputs
        else:
            runs = position == 0 and not any(chained[: read[-1] if read else 0])
        if runs:
            variables[value] = RUNNING
        else:
            own_name(value, name_of_input(part, value) or (value if part.scope is None else "y"))
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
                own_name(value, name)
    return variables


def _readers(part: Part) -> dict[str, list[int]]:
    """Which members read each value, by position; what is still read when a stack has given values, by the next too."""
    found: dict[str, list[int]] = {}
    for index, member in enumerate(part.members):
        for value in dict.fromkeys(member.inputs):
            found.setdefault(value, []).append(index)
        for value in member.constant_inputs if isinstance(member, Part) and member.is_linked else ():
            found.setdefault(value, []).append(index + 1)
    return found


def _on_chain(part: Part, index: int, readers: dict[str, list[int]]) -> bool:
    """Whether a member gives one value, which the next one alone reads."""
    values = values_of(part.members[index])
    return len(values) == 1 and readers.get(values[0]) == [index + 1] and values[0] not in part.outputs
