"""The JSON Schema: it is valid draft 7, and accepts what netspec accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from netspec.ops import OPS
from netspec.spec import json_schema
from netspec.spec.text.document import Problems, Source, plain
from netspec.spec.text.reader import read_document

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(json_schema())


def read(text: str) -> Any:
    problems = Problems()
    value = plain(read_document(text, Source("test.yaml", tuple(text.splitlines())), problems))
    problems.raise_any()
    return json.loads(json.dumps(value))


def test_it_is_draft_7_and_json() -> None:
    schema = json_schema()
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = json.dumps(schema)
    assert json.loads(text) == schema
    assert "$defs" not in text
    assert "prefixItems" not in text
    assert text == json.dumps(json_schema()), "the same on every run"


def test_every_op_and_attribute_is_in_it() -> None:
    then = {
        rule["if"]["properties"]["op"]["const"]: rule["then"] for rule in json_schema()["definitions"]["layer"]["allOf"]
    }
    assert list(then) == list(OPS)
    for kind, op in OPS.items():
        assert set(then[kind]["properties"]) == {"op", "inputs", "when", "after", *op.model_fields}
        assert then[kind]["description"]


def test_every_shipped_spec_is_valid(validator: Draft7Validator) -> None:
    for path in [*SPECS.glob("*.yaml"), SPECS / "invalid" / "bases" / "base.yaml"]:
        errors = [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(read(path.read_text("utf-8")))]
        assert not errors, (path.name, errors)


@pytest.mark.parametrize(
    "layer",
    [
        "{op: conv2d, filters: 8, kernel_size: 3}",
        "{op: conv2d, filters: '${n}', kernel_size: {height: 3, width: '${n}'}, padding: {same: tf}, bias: '${b}'}",
        "{op: conv2d, filters: 8, kernel_size: 3, initialize: {bias: 1, weight: {normal: {std: 0.1}}}}",
        "{op: max_pool2d, kernel_size: 3, padding: {bottom: 3}, round: ceil}",
        "{op: dense, units: 3, inputs: input}",
        "{op: dense, units: 3, inputs: [input]}",
        "{op: local_response_norm, size: 5, alpha: 1e-4, beta: 0.75, k: 2, convention: sum, region: map}",
        "{op: reshape, shape: [3, -1]}",
        "{op: reshape, shape: '${shape}'}",
        "{op: dense, units: 3, initialize: {weight: {values: [1, '${n}']}, bias: {values: '${list}'}}}",
        "{op: conv2d, filters: 8, kernel_size: 3, initialize: {weight: {values: [[1, '${n}'], '${list}']}}}",
    ],
)
def test_valid_layers_are_accepted(validator: Draft7Validator, layer: str) -> None:
    text = f"name: x\ninput: {{shape: [3, 8, 8]}}\nlayers:\n  a: {layer}\n"
    assert not [e.message for e in validator.iter_errors(read(text))]


@pytest.mark.parametrize(
    "layer",
    [
        "{op: conv2d, filters: 8}",
        "{op: conv2d, filters: 0, kernel_size: 3}",
        "{op: conv2d, filters: eight, kernel_size: 3}",
        "{op: conv2d, filters: 8, kernel_sise: 3}",
        "{op: conv2d, filters: 8, kernel_size: [3, 3]}",
        "{op: conv2d, filters: 8, kernel_size: 3, padding: {same: left}}",
        "{op: conv2, filters: 8}",
        "{op: dense, units: 3, initialize: {weight: {values: []}}}",
        "{op: dense, units: 3, initialize: {weight: {values: [one]}}}",
        "{op: dense, units: 3, initialize: {weight: {values: 1}}}",
        "{filters: 8}",
        "{op: relu, after: b}",
        "null",
        "3",
    ],
)
def test_invalid_layers_are_refused(validator: Draft7Validator, layer: str) -> None:
    text = f"name: x\ninput: {{shape: [3, 8, 8]}}\nlayers:\n  a: {layer}\n"
    assert list(validator.iter_errors(read(text)))


@pytest.mark.parametrize(
    ("mean", "right"),
    [
        ("[127.5]", True),
        ("[1, '${green}', 3]", True),
        ("per_channel", True),
        ("per_pixel", True),
        ("'${which}'", True),
        ("{image: ../means/mean.npy}", True),
        ("127.5", False),
        ("per_image", False),
        ("{image: 3}", False),
        ("{image: mean.npy, data: AAAA}", False),
    ],
)
def test_forms_of_a_mean(validator: Draft7Validator, mean: str, right: bool) -> None:
    text = f"name: x\ninput: {{shape: [3, 8, 8], preprocessing: {{mean: {mean}}}}}\nlayers: {{a: {{op: relu}}}}\n"
    assert validator.is_valid(read(text)) == right


def test_what_a_derived_file_may_leave_out(validator: Draft7Validator) -> None:
    text = (
        "name: x\nextends: a.yaml\nlayers: {a: null, b: {filters: 3}, c: {op: conv2d, after: a}}\n"
        "blocks: {u: {layers: {a: null, b: {filters: 3}}}, v: {parameters: {n: null}}, w: null}\ntraining: {seed: 3}\n"
        "presets: {n: {3: null, 4: {m: null}}, o: null}\ndefaults: {relu: null, conv2d: {padding: null}}\n"
    )
    assert not list(validator.iter_errors(read(text)))
    assert list(validator.iter_errors(read(text.replace("extends: a.yaml\n", ""))))
    assert list(validator.iter_errors(read(text.replace("seed", "sed"))))


@pytest.mark.parametrize(
    "key",
    ["source", "parameters", "presets", "defaults", "blocks", "outputs", "auxiliary", "placement", "training"],
)
def test_a_derived_file_may_remove_a_key(validator: Draft7Validator, key: str) -> None:
    assert validator.is_valid(read(f"name: x\nextends: a.yaml\n{key}: null\n"))
    alone = f"name: x\ninput: {{shape: [3]}}\nlayers: {{a: {{op: relu}}}}\n{key}: null\n"
    assert not validator.is_valid(read(alone))


def test_what_a_recipe_and_a_preprocessing_that_extend_a_file_may_leave_out(validator: Draft7Validator) -> None:
    text = (
        "name: x\ninput: {shape: [3, 8, 8], preprocessing: {extends: recipes/rgb.yaml, std: [3]}}\n"
        "layers: {a: {op: relu}}\ntraining: {extends: recipes/sgd.yaml, epochs: 3, optimizer: {momentum: 0.5}}\n"
    )
    assert not list(validator.iter_errors(read(text)))
    for right, wrong in (
        ("extends: recipes/sgd.yaml, ", ""),
        ("epochs", "epoch"),
        ("sgd.yaml", "sgd"),
        ("rgb.yaml", ""),
    ):
        assert list(validator.iter_errors(read(text.replace(right, wrong)))), right


@pytest.mark.parametrize(
    "text",
    [
        "input: {shape: [3]}\nlayers: {a: {op: relu}}",
        "name: x\nlayers: {a: {op: relu}}",
        "name: x\ninput: {shape: [3]}",
        "name: x\ninput: {shape: [3]}\ninputs: {a: {shape: [3]}}\nlayers: {a: {op: relu}}",
        "name: x y\ninput: {shape: [3]}\nlayers: {a: {op: relu}}",
        "name: x\ninput: {shape: []}\nlayers: {a: {op: relu}}",
        "name: x\ninput: {shape: [3]}\nlayers: {a: {op: relu}}\ntraining: {batch_size: 3}",
        "name: x\ninput: {shape: [3]}\nlayers: {1a: {op: relu}}",
        "name: x\ninput: {shape: [3]}\nlayer: {a: {op: relu}}",
    ],
)
def test_invalid_specs_are_refused(validator: Draft7Validator, text: str) -> None:
    assert list(validator.iter_errors(read(text)))


def test_editors_find_the_schema_beside_the_specs() -> None:
    written = SPECS / "netspec.schema.json"
    assert json.loads(written.read_text()) == json_schema(), "run: netspec schema --out specs/netspec.schema.json"
    for spec in SPECS.glob("*.yaml"):
        assert spec.read_text().startswith("# yaml-language-server: $schema=netspec.schema.json\n"), spec.name
