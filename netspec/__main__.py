"""The command line, as `python -m netspec`."""

from netspec.cli import main

main()
