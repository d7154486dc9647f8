"""A resolved spec can be read again, and gives the same network and recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.spec import elaborate, read_spec
from netspec.spec.write import write_spec, written_recipe

SPECS = sorted(path for path in Path("specs").glob("*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_reads_back(path: Path, tmp_path: Path) -> None:
    spec = read_spec(path)
    written = tmp_path / "spec.yaml"
    text = write_spec(spec)
    written.write_text(text)
    if spec.discriminator is not None:  # as a run folder has it
        (tmp_path / "discriminator.yaml").write_text(write_spec(spec.discriminator))
    again = read_spec(written)
    assert elaborate(again) == elaborate(spec)
    assert (again.training, again.published) == (spec.training and written_recipe(spec.training), spec.published)
    assert write_spec(again) == text


def test_overrides_are_resolved(tmp_path: Path) -> None:
    written = tmp_path / "spec.yaml"
    written.write_text(write_spec(read_spec("specs/alexnet-tanh.yaml", ["classes=10", "training.batch_size=7"])))
    again = read_spec(written)
    assert again.training is not None
    assert again.training.batch_size == 7
    assert elaborate(again).type_of("fc8").features == (10,)
    assert "extends" not in written.read_text()


@pytest.mark.parametrize("number", ["2147483648.0", "4e9", "1e20", "-1e30"])
def test_a_whole_float_beyond_the_integers_of_a_layer_reads_back(number: str, tmp_path: Path) -> None:
    written = tmp_path / "spec.yaml"
    written.write_text(f"name: x\ninput: {{shape: [4]}}\nlayers:\n  a: {{op: clip, max: {number}}}\n")
    spec = read_spec(written)
    written.write_text(write_spec(spec))
    assert elaborate(read_spec(written)) == elaborate(spec)


def test_string_arguments_of_blocks_stay_on_one_line(tmp_path: Path) -> None:
    written = tmp_path / "spec.yaml"
    written.write_text(
        "name: x\ninput: {shape: [4]}\nblocks: {b: {parameters: {s: 'a', q: .inf}, layers: {a: {op: relu}}}}\n"
        'layers: {x: {block: b, s: "two\\nlines\\u2028three", q: 3}}\n'
    )
    spec = read_spec(written)
    written.write_text(write_spec(spec))
    assert 'x: {block: b, s: "two\\nlines\\Lthree", q: 3}' in written.read_text()
    assert read_spec(written).layers == spec.layers


@pytest.mark.parametrize("source", ["1e-4", "no", "~", "a: b", "# not a comment", '"quoted"', "true", "0x1F", "π 1962"])
def test_text_stays_text(source: str, tmp_path: Path) -> None:
    written = tmp_path / "spec.yaml"
    written.write_text(f"name: x\nsource: {source!r}\ninput: {{shape: [4]}}\nlayers:\n  fc: {{op: dense, units: 2}}\n")
    spec = read_spec(written)
    assert spec.source == source
    written.write_text(write_spec(spec))
    assert read_spec(written).source == source
