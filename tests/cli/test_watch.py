"""The lines that `netspec train` prints for its epochs, on terminals of several widths."""

from __future__ import annotations

import pytest

from netspec.cli.watch import Watch
from netspec.training.events import EpochDone

EPOCHS = (
    EpochDone(1, 44, 1234.5678, 0.9, 2.25, 0.125, 0.5, 0.0497, 3605.0, best=True),
    EpochDone(2, 88, 0.5, 0.1, None, None, None, 1.59e-07, 3610.0, best=False),
)
WHOLE = [
    "epoch      loss    error  val loss  val err    top-5      rate      time",
    "    1  1.23e+03   90.00%    2.2500   12.50%   50.00%    0.0497   1:00:05 *",
    "    2    0.5000   10.00%                              1.59e-07   1:00:10",
]
LINES = {
    None: WHOLE,
    74: WHOLE,
    60: [
        "epoch      loss    error  val loss  val err      time",
        "    1  1.23e+03   90.00%    2.2500   12.50%   1:00:05 *",
        "    2    0.5000   10.00%                      1:00:10",
    ],
    40: [
        "epoch      loss  val err      time",
        "    1  1.23e+03   12.50%   1:00:05 *",
        "    2    0.5000            1:00:10",
    ],
}


@pytest.mark.parametrize(("width", "lines"), LINES.items())
def test_epochs_fit_into_a_terminal_without_the_least_important_columns(
    width: int | None, lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("netspec.cli.watch.terminal_width", lambda: width)
    watch = Watch(None)
    for epoch in EPOCHS:
        watch.epoch(epoch)
    assert capsys.readouterr().out.splitlines() == lines
    assert width is None or max(map(len, lines)) <= width
