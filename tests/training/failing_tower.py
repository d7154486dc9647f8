"""`netspec train` as one of several processes, the second of which fails; `test_towers_failure.py` runs this script.

    failing_tower.py FAILURE ARGUMENT...

FAILURE is the signal that the second process sends to itself after the second checkpoint of the run: `SIGKILL`,
`SIGSTOP` or `SIGTERM`. With `start` it is killed before they have met, once the first process waits for it; with `mesh`
or `wrap`, before the groups of the mesh are formed, or before the network is wrapped to average its gradients. With
`group` or `groups`, the first process is suspended before the default group is formed, or those of the mesh are. With
`versions` it reports versions of netspec and PyTorch that the others do not have, and with `none` nothing fails.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from netspec.cli import main

FIRST, SECOND = (os.environ.get("RANK") == rank for rank in "01")


def fail(name: str, checkpoint: Path) -> None:
    """Wait for the second checkpoint, then send this process the signal of this name."""
    written: set[int] = set()
    while len(written) < 2:
        if checkpoint.exists():
            written.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.01)
    os.kill(os.getpid(), getattr(signal, name))


def announce_wait(sign: Path) -> None:
    """Make this process create a file when it begins to wait for the others."""
    from netspec_torch import meeting

    form = meeting._form_group

    def form_announced(*arguments: Any) -> None:
        sign.touch()
        form(*arguments)

    meeting._form_group = form_announced


def kill_before(failure: str) -> None:
    """Let this process be killed where processes that have met begin to exchange."""
    from netspec_torch.distributed import Processes

    name = {"mesh": "_in_towers", "wrap": "wrap"}[failure]
    setattr(Processes, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def suspend_before(failure: str) -> None:
    """Let this process be suspended where the others ask it for their addresses, in the store that it holds."""
    from netspec_torch.distributed import Processes
    from torch import distributed

    def suspend(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()  # if another thread takes the signal, this one goes on, and would close the store

    place, name = (distributed, "init_process_group") if failure == "group" else (Processes, "_in_towers")
    setattr(place, name, suspend)


def report_other_versions() -> None:
    """Make netspec and PyTorch report versions that are not installed."""
    import netspec_torch.consistency
    import torch

    netspec_torch.consistency.version = lambda _: "0.0.1"  # type: ignore[attr-defined] # of importlib.metadata
    torch.__version__ = "1.13.1"


if __name__ == "__main__":
    failure = sys.argv.pop(1)
    out, name = (sys.argv[sys.argv.index(option) + 1] for option in ("--out", "--name"))
    if SECOND and failure == "versions":
        report_other_versions()
    elif SECOND and failure in {"mesh", "wrap"}:
        kill_before(failure)
    elif failure in {"group", "groups"}:
        import netspec_torch.meeting

        netspec_torch.meeting.MEETING = 1.0
        if FIRST:
            suspend_before(failure)
    elif failure == "start":
        sign = Path(out, f"{name}.waits")
        if SECOND:
            while not sign.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        announce_wait(sign)
    elif SECOND:
        checkpoint = Path(out, name, "checkpoints", "last.safetensors")
        threading.Thread(target=fail, args=(failure, checkpoint), daemon=True).start()
    main()
