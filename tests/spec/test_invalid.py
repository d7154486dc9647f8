"""Every file of specs/invalid gives exactly the diagnostics in the file beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.spec import load_graph

FOLDER = Path(__file__).parents[2] / "specs" / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_diagnostics_are_exactly_these(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)  # so that diagnostics name the files as their text does
    with pytest.raises(SpecError) as caught:
        load_graph(path.name)
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_enough_of_them_and_each_text_has_its_file() -> None:
    assert len(FILES) >= 45
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FILES}
