"""What the options of a run accept from Python, where no command line has checked them."""

from pathlib import Path

import pytest

from netspec import NetspecError, TrainOptions


def test_paths_may_be_strings_or_paths() -> None:
    options = TrainOptions(data=Path("digits"), validation=Path("v"), out="runs", weights="w")  # type: ignore[arg-type]
    assert options == TrainOptions(data="digits", validation="v", out=Path("runs"), weights=Path("w"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("device", "tpu", "device: expected one of auto, cpu, cuda, received 'tpu'"),
        ("precision", "fp16", "precision: expected one of float32, bfloat16, received 'fp16'"),
        ("optimize", "fast", "optimize: expected one of none, training, inference, received 'fast'"),
        ("on_bad_sample", "ignore", "on_bad_sample: expected one of fatal, skip, received 'ignore'"),
        ("parallel", "model", "parallel: expected one of data, towers, received 'model'"),
        ("workers", -1, "workers: expected a number of at least 0, received -1"),
        ("checkpoint_every", 0, "checkpoint_every: expected a number of at least 1, received 0"),
        ("timeout", float("nan"), "timeout: expected a number of at least 1, received nan"),
    ],
)
def test_values_that_the_command_line_refuses_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(NetspecError) as caught:
        TrainOptions(**{field: value})  # type: ignore[arg-type]
    assert caught.value.message == message
