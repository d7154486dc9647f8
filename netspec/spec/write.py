"""ModelSpec → YAML text: one file that needs no other, with every parameter and override in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel

from netspec.graph import Graph, Input, MeanImage
from netspec.ops import WeightedOp
from netspec.ops.attributes import Padding, Size2d
from netspec.ops.initializers import Constant
from netspec.spec.elaborate import elaborate
from netspec.spec.model import LayerSpec, ModelSpec
from netspec.spec.scalars import resolve_scalar

WIDTH = 120


def write_spec(spec: ModelSpec) -> str:
    """The spec as YAML that reads back as the same network and recipe; `extends`, `defaults` and `${…}` are gone.

    A mean image is named by its file, which `mean_images` tells and who writes the text has to write too.

    >>> from netspec.spec import read_spec
    >>> print(write_spec(read_spec("specs/mlp.yaml", {"hidden": 30})).splitlines()[4])
      fc1: {op: dense, units: 30, initialize: {weight: {variance_scaling: {}}}}
    """
    graph = elaborate(spec)
    parts: dict[str, Any] = {"name": spec.name}
    if spec.source:
        parts["source"] = spec.source
    inputs = {value.name: _input(value) for value in spec.inputs}
    if list(inputs) == ["input"]:
        parts["input"] = inputs["input"]
    else:
        parts["inputs"] = inputs
    before = [value.name for value in spec.inputs]
    parts["layers"] = layers = {}
    for layer in spec.layers:
        layers[layer.name] = _layer(layer, graph, before)
        before = [layer.name]
    parts["outputs"] = list(spec.outputs)
    if spec.published is not None:
        parts["published"] = _attributes(spec.published)
    if spec.training is not None:
        parts["training"] = _attributes(spec.training)
    return "".join(_entry(key, value) for key, value in parts.items())


def _entry(key: str, value: Any) -> str:
    """A top-level key; of layers, inputs and the recipe, each on a line of its own."""
    if key not in {"layers", "inputs", "training"}:
        return f"{key}: {_inline(value)}\n"
    return f"{key}:\n" + "".join(f"  {_inline(name)}: {_inline(own)}\n" for name, own in value.items())


def _inline(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=2**31, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """Plain scalars as YAML 1.2 reads them: PyYAML would follow 1.1, and tag or quote what differs there."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 # PyYAML's own; empty, no plain scalar needs a tag

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it is used."""
        del data
        return True


def _scalar(dumper: yaml.SafeDumper, value: Any) -> yaml.ScalarNode:
    """A number or truth value as JSON has it; a string that would read as one of those in quotes."""
    if not isinstance(value, str):
        import json  # noqa: PLC0415 # most commands write no spec

        return dumper.represent_scalar("tag:yaml.org,2002:str", json.dumps(value))
    try:
        plain = isinstance(resolve_scalar(value), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


for _type in (str, bool, int, float):
    _Dumper.add_representer(_type, _scalar)


def mean_images(spec: ModelSpec) -> dict[str, MeanImage]:
    """The mean images of the inputs, by the names of the files that `write_spec` says they are in."""
    means = {value.name: value.preprocessing.mean for value in spec.inputs if value.preprocessing}
    return {_mean_file(name): mean for name, mean in means.items() if isinstance(mean, MeanImage)}


def _mean_file(name: str) -> str:
    return "mean.npy" if name == "input" else f"mean-{name}.npy"


def _input(value: Input) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": list(value.type.features)}
    if value.preprocessing:
        found["preprocessing"] = own = _attributes(value.preprocessing)
        if isinstance(value.preprocessing.mean, MeanImage):
            own["mean"] = {"image": _mean_file(value.name)}
    return found


def _layer(layer: LayerSpec, graph: Graph, before: Sequence[str]) -> dict[str, Any]:
    """A layer's op and attributes; what it reads is left out where that is the layer before it."""
    found: dict[str, Any] = {"op": layer.op.kind}
    if layer.inputs and list(layer.inputs) != list(before):
        found["inputs"] = list(layer.inputs)
    attributes = _attributes(layer.op)
    node = graph.values[layer.name]
    if "initialize" in attributes and not isinstance(node, Input) and isinstance(node.op, WeightedOp):
        attributes["initialize"] = _plain(node.op.initialize)  # without defaults for weights that it does not have
    return found | attributes


def _attributes(value: BaseModel) -> dict[str, Any]:
    """The fields that are set otherwise than by default: what tells kinds apart first, how weights start last."""
    fields = type(value).model_fields
    order = sorted(fields, key=lambda name: (name != "name", name == "initialize"))
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in order}
    return {name: _plain(getattr(value, name)) for name in order if getattr(value, name) != defaults[name]}


def _plain(value: Any) -> Any:
    """A value as YAML has it, in the shortest form that the language takes."""
    if isinstance(value, Constant):
        return _plain(value.constant)
    if isinstance(value, Size2d | Padding):
        sides = {own for _, own in value}
        return sides.pop() if len(sides) == 1 else {name: own for name, own in value if own}
    if isinstance(value, BaseModel):
        return _attributes(value)
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_plain(own) for own in value] if isinstance(value, tuple | list) else value
