"""The process of a command: set up before anything large is imported, and ended."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from netspec.cli.deferred import defer_metadata

if TYPE_CHECKING:
    from socket import socket

LAST_WORDS = 5.0  # seconds from SIGTERM to the end of one of several processes
UNTIL_KILLED = 28.0  # the same, of one that trains: torchrun kills what is there 30 seconds after it, unheard


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    gc.set_threshold(100_000)  # a command is over soon: collecting as often as a server does is a tenth of its start
    # pydantic would read the metadata of every installed distribution to find plugins; netspec uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    defer_metadata()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # an image is read, or an error names it and what is wrong
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
    """Let SIGTERM end this process only after a moment, and then whatever it is doing.

    When one of torchrun's processes fails, the others lose it in the middle of a step, and torchrun ends them while
    they tidy up: before they have said what happened. One that waits for the others in a framework hears nothing there
    until it is killed, half a minute later; so a thread hears it.
    """
    import signal
    import socket
    import threading

    def hear(number: int, frame: object) -> None:
        pass  # what is done about it, the thread does

    if sys.platform == "win32":
        return
    heard, hearing = socket.socketpair()
    hearing.setblocking(False)
    signal.signal(signal.SIGTERM, hear)
    signal.set_wakeup_fd(hearing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_after_last_words, args=(heard, hearing, hear), daemon=True).start()


def _end_after_last_words(heard: socket, hearing: socket, handler: object) -> None:
    """End this process once SIGTERM has come.

    Training, which has a handler of its own, obeys it between two steps, and is let go on as long as torchrun lets it:
    one that waits for another in the middle of a step, in a framework, does not hear it at all.
    """
    import signal
    import time

    while received := heard.recv(64):
        obeyed = signal.getsignal(signal.SIGTERM) is not handler
        if signal.SIGTERM in received and (not obeyed or "TORCHELASTIC_RUN_ID" in os.environ):
            time.sleep(UNTIL_KILLED if obeyed else LAST_WORDS)
            from netspec.cli.console import print_note

            print_note(f"process {os.environ.get('RANK', '?')} was ended while it waited: another one may say why")
            os._exit(128 + signal.SIGTERM)
    hearing.close()
