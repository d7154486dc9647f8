"""The command line: one thin command per file. A command imports its dependencies only when it runs."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process and exit.

    An interrupt during the first imports is one line too, and so is a package that they lack.
    """
    try:
        from netspec.cli.process import main as run_process

        run_process()
    except KeyboardInterrupt:
        from netspec.errors import INTERRUPTED

        print("error: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        if (error.name or "netspec").startswith("netspec"):
            raise
        print(f"error: netspec needs {error.name}, not installed here\nhint: `pip install netspec`", file=sys.stderr)
        sys.exit(2)
