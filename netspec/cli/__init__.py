"""The command line: one thin command a file, each of which imports what it needs when it runs."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process and exit. An interrupt before it has begun ends it in one line too."""
    try:
        from netspec.cli.process import main as begin

        begin()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)  # 128 + SIGINT, as shells have it
