"""The process of a command: its setup before anything large is imported, and its end."""

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

GRACE = 5.0  # seconds from SIGTERM to the exit of a process of torchrun
LOOK = 1.0  # seconds between two looks at whether torchrun is still there
TRAINING_GRACE = 28.0  # the same while it trains: torchrun sends SIGKILL, which nothing can handle, after 30 seconds


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    gc.set_threshold(100_000)  # a command ends soon; with the default threshold, collections are a tenth of start-up
    # pydantic would read the metadata of every installed distribution to find plugins; netspec uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    defer_metadata()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # an image that cannot be read is an error of its own
    _reopen_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a character that the terminal cannot show becomes a question mark
            stream.reconfigure(errors="replace")
    if "WORLD_SIZE" in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else PyTorch logs each wait that an error tells of
        _delay_sigterm()
    from netspec.cli.app import run

    code = run(sys.argv[1:])
    gc.freeze()  # exempts live objects from Python's collections at exit, which are a tenth of the time of a check
    sys.exit(code)


def _reopen_closed_streams() -> None:
    """Open each standard stream that the caller has closed (`>&-`) on the null device.

    Otherwise the next file that is opened would get the descriptor, and would receive what is printed. A file takes
    the lowest free descriptor; opened in this order, each stream gets the one that it should have.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 # stays open until the process ends
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _delay_sigterm() -> None:
    """Let SIGTERM end this process of torchrun only after a grace period, but then reliably.

    When one process of torchrun fails, the others lose it in the middle of a step, and torchrun terminates them, often
    before they have reported what happened: hence the grace period. A process that waits for another one inside the
    framework runs no Python signal handler until SIGKILL comes, 30 seconds later: hence a thread receives the signal.
    """
    import signal
    import socket
    import threading

    def ignore(number: int, frame: object) -> None:
        pass  # the thread acts on the signal

    if sys.platform == "win32":
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.signal(signal.SIGTERM, ignore)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_exit_after_sigterm, args=(receiver, sender, ignore), daemon=True).start()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _exit_after_sigterm(receiver: socket, sender: socket, handler: object) -> None:
    """Wait for SIGTERM, then end this process after its grace period.

    Training installs a handler of its own, which stops the run after the current step. It gets nearly all the time that
    torchrun allows. Without torchrun nobody would kill the process, and training may take as long as it needs. If it
    has begun within the grace period, it is sent the signal that it did not see.
    """
    import signal
    import time

    while received := receiver.recv(64):
        training = signal.getsignal(signal.SIGTERM) is not handler
        if signal.SIGTERM in received and (not training or "TORCHELASTIC_RUN_ID" in os.environ):
            time.sleep(TRAINING_GRACE if training else GRACE)
            if not training and signal.getsignal(signal.SIGTERM) is not handler:
                os.kill(os.getpid(), signal.SIGTERM)
                continue
            from netspec.cli.console import print_note

            print_note(f"process {os.environ.get('RANK', '?')} was ended while it waited: another one may say why")
            os._exit(128 + signal.SIGTERM)
    sender.close()


def _end_with(torchrun: int) -> None:
    """Wait until this process has another parent than torchrun, then send it the SIGTERM that nobody else would send.

    Otherwise the processes of a torchrun that is killed itself would train on, unseen.
    """
    import signal
    import time

    while os.getppid() == torchrun:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
