"""The command line: one thin command a file, each of which imports what it needs when it runs."""

from netspec.cli.process import main

__all__ = ["main"]
