"""YAML 1.2, positions, limits; any text gives a spec or a SpecError."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netspec.errors import SpecError
from netspec.spec import load_graph
from netspec.spec.text import reader
from netspec.spec.text.document import MappingNode, Problems, ScalarNode, Source, plain
from netspec.spec.text.reader import read_document
from netspec.spec.text.scalars import resolve_scalar

SPEC = """\
name: example
input: {shape: [3, 8, 8], preprocessing: {mean: [0.5, 0.4, 0.3]}}
parameters: {classes: 10}
defaults:
  conv2d: {initialize: {weight: {normal: {std: 0.01}}, bias: 0}}
layers:
  conv1: {op: conv2d, filters: 4, kernel_size: 3, padding: {bottom: 1}}
  relu1: {op: relu}
  sum: {op: add, inputs: [conv1, relu1]}
  flat: {op: flatten}
  fc: {op: dense, units: "${classes * 2}"}
training:
  batch_size: 4
  epochs: 2
  optimizer: {name: sgd, learning_rate: 0.1}
  schedule: {name: step, every: {epochs: 1}}
  overrides: {"*.bias": {lr_scale: 2}}
"""


def read(text: str) -> object:
    problems = Problems()
    node = read_document(text, Source("test.yaml", tuple(text.splitlines())), problems)
    problems.raise_any()
    return plain(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0", 0),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("Null", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("e5", "e5"),
        (".", "."),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
        ("2024-01-01", "2024-01-01"),
        ("9223372036854775807", 2**63 - 1),
        ("0.0e-999", 0.0),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    result = resolve_scalar(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", ["1e400", "-1e999", "9223372036854775808", "0x" + "f" * 17, "1" * 100_000, "1e-400"])
def test_numbers_that_no_64_bits_hold_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        resolve_scalar(text)


def test_quoted_scalars_are_strings() -> None:
    assert read("""a: '1'\nb: "true"\nc: "~"\nd: |\n  1\n""") == {"a": "1", "b": "true", "c": "~", "d": "1\n"}


def test_every_key_and_value_knows_its_place() -> None:
    problems = Problems()
    source = Source("test.yaml", tuple(SPEC.splitlines()))
    root = read_document(SPEC, source, problems)
    assert isinstance(root, MappingNode)

    def visit(node: object) -> int:
        if isinstance(node, ScalarNode):
            line = source.lines[node.at.line][node.at.column :]
            written = line.lstrip("\"'")
            assert written.startswith(str(node.value)), (node, line)
            return 1
        if isinstance(node, MappingNode):
            for key, entry in node.entries.items():
                assert source.lines[entry.at.line][entry.at.column :].lstrip("\"'").startswith(key)
                assert entry.at.path.endswith(key) or not key.isidentifier()
            return sum(visit(entry.value) for entry in node.entries.values())
        return sum(visit(item) for item in node.items)  # type: ignore[attr-defined]

    assert visit(root) == 28


def test_positions_count_characters_not_bytes_and_every_kind_of_line_end(net) -> None:
    path = net("conv1: {op: conv2d, filters: 4, kernel_size: 3}")
    text = path.read_text().replace("name:", "source: grün 😀 — é\r\nname:", 1)
    path.write_bytes((text + '  "ä😀": {op: relu}\n').encode())
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    where = caught.value.diagnostics[0].where
    assert where is not None
    assert (where.line, where.column) == (6, 3)


def test_a_byte_order_mark_is_accepted(write) -> None:
    assert load_graph(write("\ufeff" + SPEC)) == load_graph(write(SPEC, "other.yaml"))


def test_aliases_share_values(net) -> None:
    graph = load_graph(
        net("a: {op: conv2d, filters: &n 4, kernel_size: 3}", "b: {op: conv2d, filters: *n, kernel_size: 1}")
    )
    assert graph.type_of("b").features == (4, 6, 6)


def test_a_deep_chain_of_aliases_meets_the_limit_on_depth() -> None:
    text = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
    with pytest.raises(SpecError, match="aliases expanded, the file has more than 64 levels"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 1_000_000,
        "- " * 500_000,
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"b{i}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(20)),
        "? " * 100_000,
        "&a " * 10_000 + "x",
        "!!python/object/new:os.system [echo hacked]",
    ],
    ids=["brackets", "braces", "dashes", "aliases", "questions", "anchors", "tag"],
)
def test_hostile_texts_are_refused(write, text: str) -> None:
    path = write(text)
    with pytest.raises(SpecError):
        load_graph(path)


def test_paths_that_are_not_readable_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    link = tmp_path / "link.yaml"
    link.symlink_to("gone.yaml")
    for path, words in [
        (link, "link.yaml: is a link to gone.yaml, which is not there$"),
        (tmp_path / "lint.yaml", "there is no such file$"),
        (tmp_path / "absent.yaml", "there is no such file"),
        (tmp_path / "no" / "absent.yaml", "there is no directory"),
        (tmp_path, "is a directory"),
        (pipe, "is not a regular file"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (tmp_path / "nul\0.yaml", "cannot be read"),
    ]:
        with pytest.raises(SpecError, match=words):
            load_graph(path)


def test_a_file_that_is_too_long_is_refused(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_CHARACTERS", 100)
    with pytest.raises(SpecError, match="longer than 100 characters"):
        load_graph(write(SPEC))


def test_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(SPEC)
    monkeypatch.setattr(reader, "_LOADER", yaml.SafeLoader)
    assert read(SPEC) == fast


def loads_or_refuses(path: Path) -> None:
    with suppress(SpecError):
        load_graph(path)


FUZZ = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"%YAML 1.3\n---\na: b")
@example(b"%TAG ! tag:x,2000:\n---\n!a b")
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(data)
    loads_or_refuses(path)


_TOKENS = st.sampled_from(
    [
        *("null", "~", "1e400", "-1", "0", "2.5", "99999999999", "${classes}", "${", "<<: *a", "&a ", "*a", "!!str "),
        *("op", "inputs", "conv1", "relu", "conv2d", "true", "[]", "{}", "input", "\u2028", "é", "x" * 200),
        *"[]{}:,-?!&*|>'\"%@`#\n\t ",
    ]
)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(SPEC)), st.integers(0, 12), _TOKENS), min_size=1, max_size=4))
def test_a_mutated_spec_is_read_or_refused(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = SPEC
    for start, length, token in edits:
        text = text[:start] + token + text[start + length :]
    path = tmp_path / "spec.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_refuses(path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_PATHS: list[tuple[str | int, ...]] = [
    ("name",), ("input",), ("input", "shape"), ("input", "shape", 1), ("input", "preprocessing"),
    ("parameters",), ("parameters", "classes"), ("defaults",), ("defaults", "conv2d"),
    ("defaults", "conv2d", "initialize"), ("layers",), ("layers", "conv1"), ("layers", "conv1", "op"),
    ("layers", "conv1", "filters"), ("layers", "conv1", "kernel_size"), ("layers", "conv1", "padding"),
    ("layers", "sum", "inputs"), ("layers", "sum", "inputs", 0), ("layers", "fc", "units"), ("outputs",),
    ("training",), ("training", "optimizer"), ("training", "optimizer", "name"), ("training", "schedule", "every"),
    ("training", "overrides"), ("extends",), ("published",), ("source",), ("inputs",),
    ("training", "extends"), ("input", "preprocessing", "extends"),
]  # fmt: skip


@FUZZ
@given(st.sampled_from(_PATHS), _VALUES)
def test_any_value_anywhere_is_read_or_refused(tmp_path: Path, where: tuple[str | int, ...], value: object) -> None:
    document = yaml.safe_load(SPEC)
    at = document
    for part in where[:-1]:
        at = at[part]
    at[where[-1]] = value
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    loads_or_refuses(path)
