"""The command line: one thin command per file. A command imports its dependencies only when it runs."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process and exit. An interrupt during the first imports is one line too."""
    try:
        from netspec.cli.process import main as run_process

        run_process()
    except KeyboardInterrupt:
        from netspec.errors import INTERRUPTED

        print("error: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
