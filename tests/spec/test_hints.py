"""Hints at what was probably meant: names that are abbreviated, misspelled, or those of other libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.ops import OPS
from netspec.spec import read_spec
from netspec.spec.layers.hints import _OTHER_NAMES, op_hint
from netspec.spec.text.hints import foreign_letter, nearest
from netspec.spec.text.scalars import lookalike

KNOWN = ["learning_rate", "momentum", "weight_decay", "nesterov"]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("lr", KNOWN, "learning_rate"),
        ("decay", KNOWN, "weight_decay"),
        ("momentun", KNOWN, "momentum"),
        ("Nesterov", KNOWN, "nesterov"),
        ("h", ["height", "width"], "height"),
        ("crop", ["random_crop", "random_resized_crop"], ""),
        ("p", ["rate", *"abcdefg"], ""),
        ("activation", ["dilation", "stride"], ""),
        ("sdg", ["sgd", "adam"], "sgd"),
        ("", KNOWN, ""),
        ("_", ["a_b", "c"], ""),
        ("erlu", ["elu", "relu", "gelu"], "relu"),
        ("afd", ["add", "pad"], "add"),
        ("nor1m", ["norm1", "norm2"], "norm1"),
    ],
)
def test_the_nearest_name(word: str, known: list[str], expected: str) -> None:
    assert nearest(word, known) == expected


@pytest.mark.parametrize("name", _OTHER_NAMES)
def test_names_of_other_libraries_mean_one_of_our_ops(name: str) -> None:
    assert name not in OPS
    assert op_hint(f"nn.{name.title()}", ()) == f"did you mean {_OTHER_NAMES[name]!r}?"
    assert _OTHER_NAMES[name] in OPS


def test_a_letter_that_looks_like_another_is_named() -> None:
    assert foreign_letter("\u043ep") == "'\u043e' is U+043E, not one of A to Z"
    assert foreign_letter("op") == ""


@pytest.mark.parametrize("name", ["alexnet", "alexnet.yml", "specs/alexnet.yaml", "specs/timm/vit.yaml"])
def test_a_missing_file_with_the_name_of_a_shipped_spec_gets_its_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as caught:
        read_spec(name)
    (problem,) = caught.value.diagnostics
    found = Path(problem.hint.removeprefix("netspec comes with "))
    assert read_spec(found).name.partition("-")[0] in {"alexnet", "vit"}


def test_any_other_missing_file_gets_no_hint(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec(tmp_path / "mine.yaml")
    assert caught.value.diagnostics[0].hint == ""


@pytest.mark.parametrize("text", ["True", "TRUE", ".inf", "-.inf", ".nan", ""])
def test_only_finite_numbers_are_called_numbers(text: str) -> None:
    assert "it is a number" not in lookalike(text, boolean=False)
