"""Nothing in a spec becomes code: its texts stay texts in emitted source."""

import ast
from pathlib import Path

import onnx
import pytest

from netspec.errors import SpecError
from netspec.lowering import find_backend
from netspec.spec import load_graph

ATTACKS = [
    '"""\nimport os; os.system("true")\n"""',
    "'''\nraise SystemExit\n'''",
    "\\",
    '\\"""',
    'ends with a quote"',
    "sum ${1 + 1}",
    "line\u2028separator\u2029raise SystemExit",
    "form\x0cfeed\x0braise SystemExit",
    "carriage\rraise SystemExit",
    "\u202eright to left",
    "\x7f\x85 control",
    "{x} %s {{}}",
]


def build(folder: Path, source: str, layer: str = "fc") -> Path:
    escaped = "".join(f"\\U{ord(c):08x}" for c in source)
    path = folder / "spec.yaml"
    path.write_text(
        f'name: attacked\nsource: "{escaped}"\ninput: {{shape: [4]}}\nlayers:\n  {layer}: {{op: dense, units: 2}}\n'
    )
    return path


def outline(tree: ast.Module) -> list[str]:
    """Return the kinds of all statements of a module, also within functions."""
    return [type(node).__name__ for node in ast.walk(tree) if isinstance(node, ast.stmt)]


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_source_stays_a_docstring(tmp_path: Path, backend: str, attack: str) -> None:
    harmless = ast.parse(str(find_backend(backend).lower(load_graph(build(tmp_path, "harmless"))).content))
    attacked = ast.parse(str(find_backend(backend).lower(load_graph(build(tmp_path, attack))).content))
    assert outline(attacked) == outline(harmless)
    assert (ast.get_docstring(attacked) or "").startswith("attacked")
    rest = [ast.dump(ast.Module(tree.body[1:], [])) for tree in (harmless, attacked)]
    assert rest[0] == rest[1]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_source_stays_metadata(tmp_path: Path, attack: str) -> None:
    harmless, attacked = (
        onnx.load_from_string(find_backend("onnx").lower(load_graph(build(tmp_path, source))).content)
        for source in ("harmless", attack)
    )
    stated = attack.replace("${1 + 1}", "2")
    assert attacked.doc_string == stated
    assert {entry.key: entry.value for entry in attacked.metadata_props}["netspec.source"] == stated
    assert attacked.graph == harmless.graph


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_a_parameter_stays_a_value(tmp_path: Path, backend: str, attack: str) -> None:
    path = build(tmp_path, "harmless")
    plain = str(find_backend(backend).lower(load_graph(path)).content)
    escaped = "".join(f"\\U{ord(c):08x}" for c in attack)
    path.write_text(f'{path.read_text()}parameters: {{text: "{escaped}"}}\n')
    assert str(find_backend(backend).lower(load_graph(path)).content) == plain
    path.write_text(path.read_text().replace("units: 2", 'units: "${text}"'))
    with pytest.raises(SpecError):
        load_graph(path)


@pytest.mark.parametrize(
    "name", ["import", "a-b", "a b", "a.b", "1a", '"x; y"', "__class__", "é", '"a\\nb"', "lambda", '""', "self.x"]
)
def test_a_layer_is_called_by_an_identifier(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError):
        load_graph(build(tmp_path, "", name))


@pytest.mark.parametrize("name", ["a/../b", '"a\\nb"', "a.b", "../up", '"x y"', "__init__", "1x"])
def test_a_spec_is_called_by_a_plain_name(tmp_path: Path, name: str) -> None:
    path = build(tmp_path, "")
    path.write_text(path.read_text().replace("name: attacked", f"name: {name}"))
    with pytest.raises(SpecError):
        load_graph(path)
