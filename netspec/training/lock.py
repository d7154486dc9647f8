"""A file or folder that one process holds at a time."""

from __future__ import annotations

import sys


def lock(handle: int) -> bool:
    """Lock an open file or folder for this process; False where neither it nor the system has locks.

    The system lets it go when it is closed, or when the process ends, however it ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    if sys.platform == "win32":
        return False
    import fcntl  # noqa: PLC0415 # Windows has none

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return False
    return True
