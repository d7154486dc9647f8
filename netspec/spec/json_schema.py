"""The JSON Schema of the language, for editors. It is generated from the models that validate specs.

The YAML language server reads draft 7 at the latest, and pydantic writes draft 2020-12: differences are rewritten.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from netspec.ops import OPS
from netspec.spec.model import InputSpec, PlacementSpec, PreprocessingSpec, Published
from netspec.spec.parameters.declarations import TYPES
from netspec.spec.validate import NAME_PATTERN

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_REF = "#/definitions/{model}"
_EXPRESSION: Schema = {
    "type": ["string", "null"],
    "pattern": r"\$\{[^{}]*\}",
    "description": "An expression, ${…}: arithmetic and comparison over `parameters` and the shapes that arrive. Null"
    " removes the value of `defaults`, or of the file that this one extends.",
}
_REMOVABLE: Schema = {"type": ["object", "null"]}
_LAYER_NAME = "^[A-Za-z][A-Za-z0-9_]*$"
# Keys of a spec that a derived file removes by `null`. Inputs and `layers:` cannot be removed.
_INHERITED = ("source", "parameters", "presets", "defaults", "blocks", "outputs", "auxiliary", "placement", "training")
_SCALARS = ("integer", "number", "boolean")


def json_schema() -> Schema:
    """The JSON Schema of a spec file, draft 7, as a value that `json.dump` writes."""
    models: list[type[BaseModel]] = [*OPS.values(), InputSpec, PlacementSpec, Published, _recipe()]
    _, generated = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    definitions = {name: _to_draft7(schema) for name, schema in generated["$defs"].items()}
    definitions[PreprocessingSpec.__name__]["properties"]["extends"] = _extends(
        "The preprocessing that this one changes"
    )
    required = {kind: definitions[op.__name__].pop("required", []) for kind, op in OPS.items()}
    return {
        "$schema": DRAFT,
        "title": "netspec",
        "description": "A neural network and how it is trained.",
        "type": "object",
        "properties": _properties(),
        "additionalProperties": False,
        "required": ["name"],
        "allOf": [
            {"not": {"required": ["input", "inputs"]}},
            {"if": _absent("extends"), "then": _complete_spec()},
            {"if": _absent("extends", "defaults"), "then": _all_layers(_has_required(required))},
        ],
        "definitions": {
            **definitions,
            "expression": _EXPRESSION,
            "names": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
            "layer": _layer(definitions),
            "block": _block(),
            "parameters": _parameters(),
        },
    }


def _properties() -> Schema:
    """The schemas of the keys of a spec."""
    by_op = {kind: _reference(op.__name__) for kind, op in OPS.items()}
    by_name = {"type": "object", "propertyNames": {"pattern": _LAYER_NAME}}
    return {
        "name": {
            "anyOf": [{"type": "string", "pattern": f"^{NAME_PATTERN}$"}, _reference("expression")],
            "description": "The network's name.",
        },
        "source": {"type": ["string", "null"], "description": "The network's origin: a paper, a file, a person."},
        "extends": _extends("The spec that this one changes"),
        "input": _reference(InputSpec.__name__),
        "inputs": {**by_name, "additionalProperties": _reference(InputSpec.__name__), "minProperties": 1},
        "parameters": _or_null(_reference("parameters")),
        "presets": {
            **by_name,
            **_REMOVABLE,
            "additionalProperties": {**_REMOVABLE, "additionalProperties": _REMOVABLE},
            "description": "Values of parameters that the value of another chooses: `{depth: {18: {width: 64}}}`.",
        },
        "defaults": {
            **_REMOVABLE,
            "properties": {kind: _or_null(attributes) for kind, attributes in by_op.items()},
            "additionalProperties": False,
            "description": "Default attributes by op, which the attributes of a layer override.",
        },
        "blocks": {**by_name, **_REMOVABLE, "additionalProperties": _reference("block"), "description": "Subgraphs."},
        "layers": {**by_name, "additionalProperties": _reference("layer"), "minProperties": 1},
        "outputs": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "auxiliary": {
            "type": ["array", "null"],
            "items": {"type": "string"},
            "uniqueItems": True,
            "description": "Outputs in training alone, of the main output's shape, weighted by the recipe's loss.",
        },
        "placement": _or_null(_reference(PlacementSpec.__name__)),
        "published": _reference(Published.__name__),
        "training": _part_of_a_recipe(),
    }


def _part_of_a_recipe() -> Schema:
    """The schema of a recipe that may lack keys, as it extends a file, or the spec does.

    In a file that does not extend another, `_complete_spec` requires the others.
    """
    return {
        **_REMOVABLE,
        "properties": {"extends": _extends("The recipe that this one changes")},
        "propertyNames": {"enum": ["extends", *_recipe().model_fields]},
    }


def _extends(content: str) -> Schema:
    return {"type": "string", "pattern": r"\.ya?ml$", "description": f"{content}: its path, relative to this file."}


def _recipe() -> type[BaseModel]:
    from netspec.recipe import Recipe  # noqa: PLC0415 # twenty classes, only for a schema

    return Recipe


def _reference(name: str) -> Schema:
    return {"$ref": _REF.format(model=name)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _absent(*keys: str) -> Schema:
    """The schema of a mapping without any of the keys."""
    return {"not": {"anyOf": [{"required": [key]} for key in keys]}}


def _all_layers(layer: Schema) -> Schema:
    return {"properties": {"layers": {"additionalProperties": layer}}}


def _complete_spec() -> Schema:
    """The schema of what a file that extends no other must state."""
    layers = _all_layers({**_OP_OR_BLOCK, "not": {"required": ["after"]}})
    properties: Schema = {key: {"not": {"type": "null"}} for key in _INHERITED}
    properties["blocks"] |= {"additionalProperties": {**layers, "required": ["layers"]}}
    properties["training"] |= {"if": _absent("extends"), "then": _reference(_recipe().__name__)}
    return {
        "properties": {**properties, **layers["properties"]},
        "required": ["layers"],
        "anyOf": [{"required": ["input"]}, {"required": ["inputs"]}],
    }


_OP_OR_BLOCK: Schema = {"type": "object", "oneOf": [{"required": ["op"]}, {"required": ["block"]}]}


def _parameters() -> Schema:
    """The schema of `parameters:`: names with defaults, or with declarations."""
    values = [{"type": kind} for kind in (*_SCALARS, "string", "array", "null")]
    declaration = {
        "type": "object",
        "properties": {"type": {"enum": list(TYPES)}, "default": {}, "choices": {"type": "array", "minItems": 1}},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "propertyNames": {"pattern": _LAYER_NAME},
        "additionalProperties": {"anyOf": [*values, declaration]},
        "description": "Names for ${…}: each with its default, or declared by `type`, `default` and `choices`.",
    }


def _block() -> Schema:
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
    by_name = {"type": "object", "propertyNames": {"pattern": _LAYER_NAME}, "minProperties": 1}
    return {
        **_REMOVABLE,
        "properties": {
            "parameters": _reference("parameters"),
            "inputs": {**names, "description": "Names of its inputs; `[input]` if left out."},
            "layers": {**by_name, "additionalProperties": _reference("layer")},
            "outputs": {**names, "description": "The layers whose values are its outputs; the last if left out."},
        },
        "additionalProperties": False,
    }


def _has_required(required: dict[str, list[str]]) -> Schema:
    """The schema of a layer that states the required attributes of its op."""
    return {"allOf": [{"if": _is(kind), "then": {"required": names}} for kind, names in required.items() if names]}


def _is(kind: str) -> Schema:
    return {"properties": {"op": {"const": kind}}, "required": ["op"]}


def _layer(definitions: dict[str, Schema]) -> Schema:
    """The schema of a layer: keys of all layers, those of a block's use, and the attributes of each op."""
    common: Schema = {
        "op": {"enum": list(OPS), "description": "What the layer computes."},
        "inputs": {**_reference("names")},
        "when": {
            "anyOf": [{"type": "boolean"}, _reference("expression")],
            "description": "Whether the layer is kept. The readers of a dropped layer read what it reads.",
        },
        "after": {
            "type": "string",
            "description": "In a file that extends another: the layer after which this one is inserted.",
        },
    }
    by_op = [
        {
            "if": _is(kind),
            "then": {
                "description": definitions[op.__name__].get("description", ""),
                "properties": {**common, **definitions[op.__name__].get("properties", {})},
                "additionalProperties": False,
            },
        }
        for kind, op in OPS.items()
    ]
    use: Schema = {  # other keys are arguments of the block
        "block": {"type": "string", "description": "The name of the block that the layer uses."},
        "repeat": {
            "anyOf": [{"type": "integer", "minimum": 0}, _reference("expression")],
            "description": "Number of instances in a stack, where each reads the one before. `${index}` counts from 0.",
        },
        "first": {
            "type": "object",
            "description": "Arguments of the first instance of a stack, which override the others.",
        },
        "last": {
            "type": "object",
            "description": "Arguments of the last instance of a stack, which override the others.",
        },
    }
    return {**_REMOVABLE, "properties": {**common, **use}, "allOf": by_op}


def _to_draft7(schema: Any, key: str = "") -> Any:
    """A schema of pydantic in draft 7, where an expression may stand in place of any scalar or list.

    `key` is the keyword whose value the schema is. It is `name` for the schema of a field of that name: the
    discriminator of a union, which cannot be an expression.
    """
    if isinstance(schema, list):
        return [_to_draft7(item, key) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if key in ("properties", "definitions"):
        return {name: _to_draft7(value, "name" if name == "name" else "") for name, value in schema.items()}
    # Titles repeat field names; `discriminator` is a keyword of OpenAPI.
    kept = {k: v for k, v in schema.items() if k not in ("title", "discriminator", "prefixItems", "default")}
    rewritten = {k: _to_draft7(v, k) if isinstance(v, dict | list) else v for k, v in kept.items()}
    if "oneOf" in rewritten:  # an expression may stand in place of several members of a union
        rewritten["anyOf"] = rewritten.pop("oneOf")
    if "prefixItems" in schema:
        rewritten["items"] = [_to_draft7(item) for item in schema["prefixItems"]]
        rewritten["additionalItems"] = False
    if "default" in schema and isinstance(schema["default"], str | int | float | bool | None):
        rewritten["default"] = schema["default"]
    if "$ref" in rewritten and len(rewritten) > 1:  # draft 7 ignores the keywords beside a reference
        rewritten["allOf"] = [{"$ref": rewritten.pop("$ref")}]
    if key != "name" and _may_be_computed(schema):
        about = {k: rewritten.pop(k) for k in ("description", "default") if k in rewritten}
        return {**about, "anyOf": [rewritten, _reference("expression")]}
    return rewritten


def _may_be_computed(schema: Schema) -> bool:
    """Whether a schema is that of a number, a boolean, a choice or a list."""
    return schema.get("type") in (*_SCALARS, "array") or "enum" in schema or "const" in schema
