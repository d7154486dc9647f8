"""What emitted source gives to layers, held against what they take: for the tests of `signatures.py` of a backend."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping

from netspec.lowering import Backend
from netspec.lowering.blocks.template import Signature
from netspec.lowering.python.module import load_source
from netspec.testing.cases import sample_cases


def _calls(source: str, entry: str) -> Iterator[tuple[str, set[str]]]:
    """What the network calls, by its name in the source, each with the arguments that it is given by name."""
    (found,) = (item for item in ast.parse(source).body if getattr(item, "name", "") == entry)
    for call in ast.walk(found):
        if isinstance(call, ast.Call) and (path := ast.unparse(call.func)).replace(".", "").isidentifier():
            yield path, {keyword.arg for keyword in call.keywords if keyword.arg}


def _pair(default: object) -> object:
    """Conv2D(strides=1) is Conv2D(strides=(1, 1))."""
    return (default, default)


def _own_signature(called: str, names: Mapping[str, object]) -> inspect.Signature:
    first, *rest = called.split(".")
    found = names[first]
    for part in rest:
        found = getattr(found, part)
    try:
        return inspect.signature(found)  # type: ignore[arg-type] # a class or a function
    except ValueError:  # written in C++: the first line of its documentation has it
        return _stated_signature(str(found.__doc__))


def _stated_signature(documentation: str) -> inspect.Signature:
    """That of `name(query, key, scale=None) -> Tensor:`."""
    (stated,) = re.findall(r"^\s*\w+(\([^()]*\)) -> ", documentation, re.MULTILINE)
    arguments = ast.parse(f"def stated{stated}: ...").body[0].args  # type: ignore[attr-defined] # a function
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    required = len(arguments.args) - len(arguments.defaults)
    taken = [inspect.Parameter(a.arg, kind) for a in arguments.args[:required]]
    for argument, default in zip(arguments.args[required:], arguments.defaults, strict=True):
        taken.append(inspect.Parameter(argument.arg, kind, default=ast.literal_eval(default)))
    return inspect.Signature(taken)


def check_signatures(
    backend: Backend, signatures: Mapping[str, Signature], may_differ: Callable[[str], bool], **of_blocks: object
) -> None:
    """Every layer that a sample leaves an argument out of, and another not, is listed; with its own names and defaults.

    Args:
        backend: what emits.
        signatures: what is to be checked.
        may_differ: whether instances of a block that differ in a call, by its name, can share their code at all.
        of_blocks: what is called in blocks alone, by name: no sample of an op shows it.
    """
    given: dict[str, list[set[str]]] = {called: [] for called in signatures}
    names: dict[str, object] = dict(of_blocks)
    for case in sample_cases():
        artifact = backend.lower(case.graph)
        source = str(artifact.content)
        for called, arguments in _calls(source, artifact.entry):
            if may_differ(called):
                given.setdefault(called, []).append(arguments)
        names |= vars(load_source(source, case.graph.name))
    for called, each in given.items():
        taken = _own_signature(called, names).parameters
        listed = signatures.get(called, Signature())
        optional = dict(listed.optional or {})
        sometimes = {name for some in each for other in each for name in some - other}
        missing = {name for name in sometimes if taken[name].default is not None} - {*optional, *listed.positional}
        assert not missing, f"{called}: {missing} is given to some and not to others, and is not listed"
        assert list(taken)[: len(listed.positional)] == list(listed.positional), called
        for name, default in optional.items():
            assert default is not None, f"{called}({name}=None): None is for what has to be given"
            actual = taken[name].default
            assert actual in (default, _pair(default)), f"{called}({name}={default!r}), whose default is {actual!r}"
