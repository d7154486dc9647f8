"""Numbers of the environment, which a launcher of processes sets."""

import pytest

from netspec.errors import BackendError
from netspec.lowering.environment import environment


@pytest.mark.parametrize(("text", "number"), [(None, 7), ("", 7), ("0", 0), ("12", 12)])
def test_a_number_is_read(text: str | None, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if text is not None:
        monkeypatch.setenv("RANK", text)
    assert environment("RANK", 7) == number


@pytest.mark.parametrize("text", ["two", "1.5", "-1", "0"])
def test_what_is_no_number_of_processes_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(BackendError, match=f"WORLD_SIZE: expected a whole number of 1 or more, received '{text}'"):
        environment("WORLD_SIZE", 1, least=1)
