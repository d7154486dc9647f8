"""ModelSpec → YAML text: a file that extends no other, with the values of parameters and overrides filled in.

Blocks are written as they were read, together with the parameters and defaults that they use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel

from netspec.graph import Graph, Input, MeanImage
from netspec.ops import WeightedOp
from netspec.ops.attributes import PerAxis
from netspec.ops.initializers import Constant
from netspec.spec.elaborate import elaborate
from netspec.spec.model import LayerSpec, ModelSpec, UseSpec
from netspec.spec.text.document import plain
from netspec.spec.text.scalars import MAX_NUMBER, resolve_scalar, scalar_text

if TYPE_CHECKING:
    from netspec.recipe import Recipe

DISCRIMINATOR_FILE: Final = "discriminator.yaml"


def write_spec(spec: ModelSpec) -> str:
    """The YAML text of a spec, which reads back as the same network and recipe.

    `extends`, `presets` and `when` are resolved, as are `defaults` and `${…}` if the spec has no blocks. A mean image
    is referred to by a file name; the caller has to write the files that `mean_images` returns. So is a generator's
    discriminator, in whose spec `discriminator.yaml` the parameters have their values: that of `spec.discriminator`.

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
        parts |= _parts_for_blocks(spec)
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
        parts["training"] = _attributes(written_recipe(spec.training))
    return "".join(_entry(key, value) for key, value in parts.items())


def written_recipe(recipe: Recipe) -> Recipe:
    """The recipe as `write_spec` writes it: a generator's names the file that its discriminator is written to.

    So it does not depend on where the spec was read from.
    """
    if recipe.adversarial is None:
        return recipe
    loss = recipe.adversarial.model_copy(update={"discriminator": DISCRIMINATOR_FILE, "set": {}})
    return recipe.model_copy(update={"loss": loss})


def _entry(key: str, value: Any) -> str:
    """The text of a top-level key. Each layer, input and part of the recipe or of a block has a line of its own."""
    if key == "blocks":
        return f"{key}:\n" + "".join(f"  {_inline(name)}:\n{_block(block)}" for name, block in value.items())
    if key not in {"layers", "inputs", "training", "parameters", "defaults"}:
        return f"{key}: {_inline(value)}\n"
    return f"{key}:\n" + _lines(value, "  ")


def _lines(value: dict[str, Any], indent: str) -> str:
    return "".join(f"{indent}{_inline(name)}: {_inline(item)}\n" for name, item in value.items())


def _block(block: dict[str, Any]) -> str:
    """The text of a block, with each of its layers on a line."""
    head = {key: value for key, value in block.items() if key != "layers"}
    return f"{_lines(head, '    ')}    layers:\n{_lines(block['layers'], '      ')}"


def _inline(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=2**31, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    """Writes plain scalars of YAML 1.2. PyYAML follows YAML 1.1, and would tag or quote scalars that differ there."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 # PyYAML's attribute; empty, so that no tag is written

    def ignore_aliases(self, data: Any) -> bool:
        """Write no aliases, but every value in full."""
        del data
        return True


def _scalar(dumper: yaml.SafeDumper, value: Any) -> yaml.ScalarNode:
    """A scalar on one line; a string in quotes if it would read as another type without them."""
    if not isinstance(value, str):
        return dumper.represent_scalar("tag:yaml.org,2002:str", scalar_text(value))
    try:
        plain = value.isprintable() and isinstance(resolve_scalar(value), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


for _type in (str, bool, int, float):
    _Dumper.add_representer(_type, _scalar)


def mean_images(spec: ModelSpec) -> dict[str, MeanImage]:
    """The mean images of the inputs, by the file names that `write_spec` refers to."""
    means = {value.name: value.preprocessing.mean for value in spec.inputs if value.preprocessing}
    return {_mean_file(name): mean for name, mean in means.items() if isinstance(mean, MeanImage)}


def _mean_file(name: str) -> str:
    return "mean.npy" if name == "input" else f"mean-{name}.npy"


def _input(value: Input) -> dict[str, Any]:
    parts: dict[str, Any] = {"shape": list(value.type.features)}
    if value.preprocessing:
        parts["preprocessing"] = preprocessing = _attributes(value.preprocessing)
        if isinstance(value.preprocessing.mean, MeanImage):
            preprocessing["mean"] = {"image": _mean_file(value.name)}
    return parts


def _parts_for_blocks(spec: ModelSpec) -> dict[str, Any]:
    """The blocks, with the parameters and the defaults that their layers need."""
    parameters = {
        name: {"type": "mapping", "default": value} if isinstance(value, dict) else value
        for name, value in spec.parameters.items()
    }
    defaults = {kind: plain(node) for kind, node in spec.defaults.items()}
    blocks = {name: plain(block.node) for name, block in spec.blocks.items()}
    parts = {"parameters": parameters, "defaults": defaults, "blocks": blocks}
    return {key: _with_lists(value) for key, value in parts.items() if value}


def _with_lists(value: Any) -> Any:
    """The value with each tuple replaced by a list."""
    if isinstance(value, dict):
        return {name: _with_lists(item) for name, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, tuple) else value


def _use(layer: UseSpec, before: Sequence[str]) -> dict[str, Any]:
    """A layer that uses a block. Its arguments are written as they were read: their parameters are written too."""
    stated: dict[str, Any] = _with_lists(plain(layer.attributes))
    keys = {"block": layer.block, **_inputs(layer.inputs, before)}
    if layer.stacked:
        keys["repeat"] = len(layer.instances)
    return keys | {key: value for key, value in stated.items() if key not in (*keys, "inputs", "when", "repeat")}


def _inputs(inputs: Sequence[str], before: Sequence[str]) -> dict[str, Any]:
    """The `inputs:` of a layer, left out if they are empty or the single value before it."""
    implied = not inputs or (len(before) == 1 and list(inputs) == list(before))
    return {} if implied else {"inputs": list(inputs)}


def _layer(layer: LayerSpec, spec: ModelSpec, graph: Graph, before: Sequence[str]) -> dict[str, Any]:
    """A layer that is an op."""
    keys: dict[str, Any] = {"op": layer.op.kind, **_inputs(layer.inputs, before)}
    attributes = _attributes(layer.op)
    if spec.blocks and layer.op.kind in spec.defaults:
        # `defaults:` is written, so an attribute with the op's own default value has to be written as well.
        stated = [name for name in spec.defaults[layer.op.kind].entries if name != "initialize"]
        attributes = {name: _plain(getattr(layer.op, name)) for name in stated} | attributes
    node = graph.values[layer.name]
    if "initialize" in attributes and not isinstance(node, Input) and isinstance(node.op, WeightedOp):
        attributes["initialize"] = _plain(node.op.initialize)  # without weights that the layer does not have
    return keys | attributes


def _attributes(value: BaseModel) -> dict[str, Any]:
    """The fields that differ from their defaults: `name`, the discriminator, first, `initialize` last."""
    fields = type(value).model_fields
    order = sorted(fields, key=lambda name: (name != "name", name == "initialize"))
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in order}
    return {name: _plain(getattr(value, name)) for name in order if getattr(value, name) != defaults[name]}


def _plain(value: Any) -> Any:
    """A value as YAML writes it, in the shortest form of the language."""
    if isinstance(value, Constant):
        return _plain(value.constant)
    if isinstance(value, PerAxis):
        sizes = {size for _, size in value}
        return _plain(sizes.pop()) if len(sizes) == 1 else _attributes(value)
    if isinstance(value, BaseModel):
        return _attributes(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_NUMBER:  # the bound of a layer's integers
        return int(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
