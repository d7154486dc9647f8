"""Advisory locks: a file or folder that only one process holds at a time."""

from __future__ import annotations

import sys


def lock(handle: int) -> bool:
    """Lock an open file or folder for this process; return False if its file system or the platform has no locks.

    The operating system releases the lock when the handle is closed or the process ends, even if it is killed.

    Raises:
        BlockingIOError: another process holds it.
    """
    if sys.platform == "win32":
        return False
    import fcntl  # noqa: PLC0415 # not available on Windows

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return False
    return True
