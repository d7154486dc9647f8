"""ModelSpec → YAML text: one file that needs no other, with every parameter and override in its place.

Blocks are written as they were read, with what their expressions see: the parameters and defaults of the spec.
"""

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
from netspec.spec.model import LayerSpec, ModelSpec, UseSpec
from netspec.spec.text.document import plain
from netspec.spec.text.scalars import MAX_NUMBER, resolve_scalar

WIDTH = 120


def write_spec(spec: ModelSpec) -> str:
    """The spec as YAML that reads back as the same network and recipe.

    `extends`, `presets`, `when` and, where there are no blocks, `defaults` and `${…}` are gone.

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
    if spec.blocks:
        parts |= _for_blocks(spec)
    before = [value.name for value in spec.inputs]
    parts["layers"] = layers = {}
    for layer in spec.layers:
        layers[layer.name] = _use(layer, before) if isinstance(layer, UseSpec) else _layer(layer, spec, graph, before)
        before = [layer.name]
    parts["outputs"] = list(spec.outputs)
    if spec.auxiliary:
        parts["auxiliary"] = list(spec.auxiliary)
    if spec.placement is not None:
        parts["placement"] = _attributes(spec.placement)
    if spec.published is not None:
        parts["published"] = _attributes(spec.published)
    if spec.training is not None:
        parts["training"] = _attributes(spec.training)
    return "".join(_entry(key, value) for key, value in parts.items())


def _entry(key: str, value: Any) -> str:
    """A top-level key; of layers, inputs and the recipe, each on a line of its own, and so each part of a block."""
    if key == "blocks":
        return f"{key}:\n" + "".join(f"  {_inline(name)}:\n{_block(own)}" for name, own in value.items())
    if key not in {"layers", "inputs", "training", "parameters", "defaults"}:
        return f"{key}: {_inline(value)}\n"
    return f"{key}:\n" + _lines(value, "  ")


def _lines(value: dict[str, Any], indent: str) -> str:
    return "".join(f"{indent}{_inline(name)}: {_inline(own)}\n" for name, own in value.items())


def _block(own: dict[str, Any]) -> str:
    """A block's parts, each of its layers on a line."""
    head = {key: value for key, value in own.items() if key != "layers"}
    return f"{_lines(head, '    ')}    layers:\n{_lines(own['layers'], '      ')}"


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


def _for_blocks(spec: ModelSpec) -> dict[str, Any]:
    """What is needed to read blocks again: the values that they see, what their layers begin with, and themselves."""
    parameters = {
        name: {"type": "mapping", "default": value} if isinstance(value, dict) else value
        for name, value in spec.parameters.items()
    }
    defaults = {kind: plain(node) for kind, node in spec.defaults.items()}
    blocks = {name: plain(block.node) for name, block in spec.blocks.items()}
    parts = {"parameters": parameters, "defaults": defaults, "blocks": blocks}
    return {key: _listed(value) for key, value in parts.items() if value}


def _listed(value: Any) -> Any:
    """The same, with a list in place of each tuple."""
    if isinstance(value, dict):
        return {name: _listed(own) for name, own in value.items()}
    return [_listed(own) for own in value] if isinstance(value, tuple) else value


def _use(layer: UseSpec, before: Sequence[str]) -> dict[str, Any]:
    """A block's name and arguments, as they were read: its parameters are still there to be seen."""
    stated: dict[str, Any] = _listed(plain(layer.attributes))
    found = {"block": layer.block, **_inputs(layer.inputs, before)}
    if layer.stacked:
        found["repeat"] = len(layer.instances)
    return found | {key: value for key, value in stated.items() if key not in (*found, "inputs", "when", "repeat")}


def _inputs(inputs: Sequence[str], before: Sequence[str]) -> dict[str, Any]:
    """What a layer reads; left out where that is nothing, or the one value before it."""
    implied = not inputs or (len(before) == 1 and list(inputs) == list(before))
    return {} if implied else {"inputs": list(inputs)}


def _layer(layer: LayerSpec, spec: ModelSpec, graph: Graph, before: Sequence[str]) -> dict[str, Any]:
    """A layer's op and attributes."""
    found: dict[str, Any] = {"op": layer.op.kind, **_inputs(layer.inputs, before)}
    attributes = _attributes(layer.op)
    if spec.blocks and layer.op.kind in spec.defaults:  # what is as the op has it may not be as the defaults say
        stated = [name for name in spec.defaults[layer.op.kind].entries if name != "initialize"]
        attributes = {name: _plain(getattr(layer.op, name)) for name in stated} | attributes
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
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_NUMBER:  # the bound of a layer's integers
        return int(value)
    return [_plain(own) for own in value] if isinstance(value, tuple | list) else value
