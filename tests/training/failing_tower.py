"""`netspec train` as one of several processes, of which the second fails: run as a script by `test_towers_failure.py`.

    failing_tower.py FAILURE ARGUMENT...

FAILURE is `SIGKILL`, `SIGSTOP` or `SIGTERM`, what the second process sends to itself once the run has written a
checkpoint after the first; `start`, killed before it has met the others; `mesh` or `wrap`, killed before the groups of
the mesh are formed, or before the network is wrapped to average its gradients; or `versions`, so that it takes itself
for a program of another version.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from netspec.cli import main

SECOND = os.environ.get("RANK") == "1"


def fail(name: str, checkpoint: Path) -> None:
    """Wait for the second checkpoint, and be gone."""
    seen: set[float] = set()
    while len(seen) < 2:
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime)
        time.sleep(0.01)
    os.kill(os.getpid(), getattr(signal, name))


def be_gone_before(failure: str) -> None:
    """Be killed where processes that have met begin to exchange, by a function that is theirs alone."""
    from netspec_torch.distributed import Processes

    name = {"mesh": "_in_towers", "wrap": "wrap"}[failure]
    setattr(Processes, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def be_another_version() -> None:
    """Let netspec and PyTorch say that they are others."""
    import netspec_torch.consistency
    import torch

    netspec_torch.consistency.version = lambda _: "0.0.1"  # type: ignore[attr-defined] # of importlib.metadata
    torch.__version__ = "1.13.1"


if __name__ == "__main__":
    failure = sys.argv.pop(1)
    out, name = (sys.argv[sys.argv.index(option) + 1] for option in ("--out", "--name"))
    if SECOND and failure == "versions":
        be_another_version()
    elif SECOND and failure in {"mesh", "wrap"}:
        be_gone_before(failure)
    elif SECOND and failure == "start":
        os.kill(os.getpid(), signal.SIGKILL)
    elif SECOND:
        checkpoint = Path(out, name, "checkpoints", "last.safetensors")
        threading.Thread(target=fail, args=(failure, checkpoint), daemon=True).start()
    main()
