"""Checks for a backend's `signatures.py`: the listed arguments of layers match the layers and the emitted source."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from netspec.lowering import Backend
from netspec.lowering.blocks.template import Signature
from netspec.lowering.python.module import load_source
from netspec.spec import load_graph
from netspec.testing.cases import sample_cases
from netspec.weights import initialize


def _calls(source: str, entry: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each callable that the network calls, and its keyword arguments."""
    (network,) = (item for item in ast.parse(source).body if getattr(item, "name", "") == entry)
    for call in ast.walk(network):
        if isinstance(call, ast.Call) and (path := ast.unparse(call.func)).replace(".", "").isidentifier():
            yield path, {keyword.arg for keyword in call.keywords if keyword.arg}


def _pair(default: object) -> object:
    """Return the default as a pair: Conv2D(strides=1) is Conv2D(strides=(1, 1))."""
    return (default, default)


def _signature(path: str, names: Mapping[str, object]) -> inspect.Signature:
    """Return the signature of a callable of the framework, given its dotted path in the source."""
    first, *rest = path.split(".")
    target = names[first]
    for part in rest:
        target = getattr(target, part)
    try:
        return inspect.signature(target)  # type: ignore[arg-type] # a class or a function
    except ValueError:  # a C++ function: its docstring starts with its signature
        return _documented_signature(str(target.__doc__))


def _documented_signature(docstring: str) -> inspect.Signature:
    """Parse a signature such as `name(query, key, scale=None) -> Tensor:` from a docstring."""
    (signature,) = re.findall(r"^\s*\w+(\([^()]*\)) -> ", docstring, re.MULTILINE)
    arguments = ast.parse(f"def function{signature}: ...").body[0].args  # type: ignore[attr-defined] # a function
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    required = len(arguments.args) - len(arguments.defaults)
    parameters = [inspect.Parameter(a.arg, kind) for a in arguments.args[:required]]
    for argument, default in zip(arguments.args[required:], arguments.defaults, strict=True):
        parameters.append(inspect.Parameter(argument.arg, kind, default=ast.literal_eval(default)))
    return inspect.Signature(parameters)


def lower_instances(backend: Backend, layer: str, type: str, values: tuple[str, str], folder: Path) -> str:
    """Return the source of two instances of a block with a single layer, and check that the backend can load it.

    Args:
        backend: the backend that emits the source.
        layer: the op of the layer and its attributes, one of which is the parameter `v`.
        type: the type of the parameter.
        values: its value in each instance.
        folder: the folder for the spec.
    """
    path = folder / "spec.yaml"
    uses = "".join(f"  use{i}: {{block: unit, inputs: input, v: {value}}}\n" for i, value in enumerate(values))
    path.write_text(f"""name: example
input: {{shape: [4, 6, 6]}}
blocks:
  unit:
    parameters: {{v: {{type: {type}}}}}
    layers:
      own: {{op: {layer}}}
layers:
{uses}outputs: [use0, use1]
""")
    graph = load_graph(path)
    artifact = backend.lower(graph)
    backend.load(artifact, initialize(graph))
    return str(artifact.content)


def check_signatures(
    backend: Backend, signatures: Mapping[str, Signature], may_differ: Callable[[str], bool], **of_blocks: object
) -> None:
    """Check that each argument which only some calls of a layer pass is listed, with the layer's name and default.

    Args:
        backend: the backend that emits the calls.
        signatures: the signatures to check, by the path of the callable in the source.
        may_differ: whether instances of a block can share their code if they differ in a call of this path.
        of_blocks: callables that occur only in blocks, by name: no sample of an op calls them.
    """
    calls: dict[str, list[set[str]]] = {path: [] for path in signatures}
    names: dict[str, object] = dict(of_blocks)
    for case in sample_cases():
        artifact = backend.lower(case.graph)
        source = str(artifact.content)
        for path, keywords in _calls(source, artifact.entry):
            if may_differ(path):
                calls.setdefault(path, []).append(keywords)
        names |= vars(load_source(source, case.graph.name))
    for path, passed in calls.items():
        parameters = _signature(path, names).parameters
        listed = signatures.get(path, Signature())
        optional = dict(listed.optional or {})
        sometimes = {name for keywords in passed for others in passed for name in keywords - others}
        missing = {name for name in sometimes if parameters[name].default is not None} - {*optional, *listed.positional}
        assert not missing, f"{path}: only some calls pass {missing}, which is not listed"
        assert list(parameters)[: len(listed.positional)] == list(listed.positional), path
        for name, default in optional.items():
            assert default is not None, f"{path}({name}=None): None marks a required argument"
            actual = parameters[name].default
            assert actual in (default, _pair(default)), f"{path}({name}={default!r}), whose default is {actual!r}"
