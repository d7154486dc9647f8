"""The framework under Keras, as netspec and Keras see it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netspec_keras.backend import configured_engine

ASK = """
import keras
from netspec_keras.backend import ENGINE, KerasBackend
print(ENGINE, keras.config.backend(), *sorted(KerasBackend.dtypes))
"""


def test_the_engine_is_that_of_keras_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')  # imported in half the time of torch
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-c", ASK]
    result = subprocess.run(
        command, env=environment | {"KERAS_HOME": str(tmp_path)}, check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == ["jax", "jax", "float32"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"backend": "tensorflow"}'])
def test_the_engine_is_tensorflow_by_default(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert configured_engine() == "tensorflow"
    (tmp_path / "keras.json").write_text(text)
    assert configured_engine() == "tensorflow"


def test_the_environment_variable_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert configured_engine() == "jax"
