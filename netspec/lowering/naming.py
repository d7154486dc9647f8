"""Names in emitted source: classes from spec names, and which values share the running variable `x`."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Collection

from netspec.graph import Graph

RUNNING = "x"


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
    """
    words = [w for w in re.split(r"[^A-Za-z0-9]+", spec_name) if w]
    return available(_letter_first("".join(w[0].upper() + w[1:] for w in words), "Net"), taken)


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


def assign_variables(graph: Graph, reserved: Collection[str], *, chain_inputs: bool = True) -> dict[str, str]:
    """The variable that holds each value: `x` along a chain, the value's own name where it is read later.

    A value is on the chain when the next node alone reads it; so is a single input, and a single output that is the
    last value.

    Args:
        graph: the values.
        reserved: names that the source uses for other things; a value of such a name gets an underscore.
        chain_inputs: False where inputs are read again at the end, and so keep their names.
    """
    values = list(graph.values.values())
    following = {a.name: b for a, b in itertools.pairwise(values)}
    variables: dict[str, str] = {}
    taken = {RUNNING, *reserved}
    for value in values:
        readers = graph.readers[value.name]
        last = value is values[-1] and graph.outputs == (value.name,)
        chained = [reader.name for reader in readers] == [
            following[value.name].name if value.name in following else None
        ] and value.name not in graph.outputs
        if value in graph.inputs and (len(graph.inputs) > 1 or not chain_inputs):
            chained = last = False
        if last or chained:
            variables[value.name] = RUNNING
        else:
            variables[value.name] = available(identifier(value.name), taken)
            taken.add(variables[value.name])
    return variables
