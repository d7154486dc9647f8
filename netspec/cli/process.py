"""The process of a command: set up before anything large is imported, and ended."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

LAST_WORDS = 5.0  # seconds from SIGTERM to the end of one of several processes


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    gc.set_threshold(100_000)  # a command is over soon: collecting as often as a server does is a tenth of its start
    # pydantic would read the metadata of every installed distribution to find plugins; netspec uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a sign gets a question mark
            stream.reconfigure(errors="replace")
    if "WORLD_SIZE" in os.environ:
        _say_why_first()
    from netspec.cli.app import run

    code = run(sys.argv[1:])
    gc.freeze()  # Python ends with collections, which would look through all that is left: a tenth of a check
    sys.exit(code)


def _open_closed_streams() -> None:
    """Lead what the caller has closed (`>&-`) nowhere, before a file of ours is given its number.

    Files take the lowest number that is free, and so these, opened in order, take their own.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 # until the process ends
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _say_why_first() -> None:
    """Let SIGTERM end this process only after a moment.

    When one of torchrun's processes fails, the others lose it in the middle of a step, and torchrun ends them while
    they tidy up: before they have said what happened.
    """
    import signal

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    def hear(number: int, frame: object) -> None:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, LAST_WORDS)

    if hasattr(signal, "setitimer"):  # not on Windows
        signal.signal(signal.SIGTERM, hear)
