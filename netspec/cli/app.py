"""The `netspec` command: finds its subcommands, and turns every exception into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from netspec.cli.console import discard_output, print_error
from netspec.cli.interrupts import interrupt, recorded_interrupts
from netspec.errors import SIGNAL, NetspecError

PROGRAM: Final = "netspec"
COMMANDS: Final = (
    *("check", "show", "build", "verify", "train", "eval", "study", "data", "run", "weights", "diff"),
    *("schema", "ops", "backends", "completion"),
)
DEFECT: Final = 70  # EX_SOFTWARE of sysexits.h
MISTAKE: Final = NetspecError.exit_code
MISSING_HINT: Final = "`pip install netspec` has what every command needs, `pip install 'netspec[all]'` the rest"


class Commands(click.Group):
    """The subcommands. The module of a command is imported when the command is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a typical workflow, not alphabetically."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return `command` of the module `netspec.cli.NAME`, or None for an unknown name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"netspec.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name. The error for an unknown name suggests the closest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            close = difflib.get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"there is no command {name!r}" + (f"; did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. An interrupt prints one line and exits with the code of its signal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                print(file=sys.stderr)  # the terminal has echoed ^C on the current line
            raise click.exceptions.Exit(_report_interrupt()) from None


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  netspec check specs/*.yaml
  netspec show specs/alexnet.yaml
  netspec build specs/alexnet.yaml --backend all --out build/alexnet
  netspec verify specs/alexnet.yaml
  netspec train specs/lenet5.yaml

\b
Exit codes: 0 done, 1 a verification failed, 2 a mistake in a command or file.
`netspec completion --help` says how to complete commands with TAB.
""",
)
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Compile one YAML layer spec into PyTorch, Keras and ONNX, and prove that the three are one function."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Errors go to stderr; a user's mistake never has a traceback.

    Exit codes: 0 done; 1 a verification failed; 2 the user's mistake; 70 a defect of netspec; 128 + the
    number of the signal that stopped it, 130 for Ctrl-C.
    """
    with recorded_interrupts() as received:
        try:
            code = cli.main(list(arguments), PROGRAM, standalone_mode=False)
            sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt):
            return _report_interrupt()
        except BrokenPipeError:
            discard_output()
            return 0
        except Exception as error:  # noqa: BLE001 # anything that is not a user's mistake is reported as a defect
            return _report_interrupt() if received else _report(error)
    return code if isinstance(code, int) else 0


def _report_interrupt() -> int:
    number = interrupt()
    print_error("interrupted" if number == signal.SIGINT else f"stopped by {number.name}")
    return SIGNAL + number


def _report(error: Exception) -> int:
    """Print an error and return its exit code."""
    if isinstance(error, click.ClickException):
        _report_click(error)
        return error.exit_code
    if isinstance(error, NetspecError):
        print_error(error.message, error.hint)
        return error.exit_code
    if isinstance(error, ModuleNotFoundError) and not (error.name or PROGRAM).startswith(PROGRAM):
        return _report_missing(error)
    return _report_resource(error) if isinstance(error, OSError | MemoryError) else _report_defect(error)


def _report_click(error: click.ClickException) -> None:
    """Print a mistake in the command line as any other error, with how the command is used as the hint."""
    message = error.format_message().removesuffix(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = ""
    if context is not None:
        usage = " ".join(context.get_usage().removeprefix("Usage:").split())
        hint = f"{usage}; `{context.command_path} --help` tells more"
    print_error(message[:1].lower() + message[1:], hint)


def _report_missing(error: ModuleNotFoundError) -> int:
    """Print which package is not installed, or was removed."""
    if os.environ.get("NETSPEC_DEBUG") == "1":
        raise error
    package = (error.name or "").partition(".")[0]
    print_error(f"this command needs {package}, not installed here", MISSING_HINT)
    return MISTAKE


def _report_resource(error: OSError | MemoryError) -> int:
    """Print what the machine refused: a full disk, a file without permission, memory."""
    if os.environ.get("NETSPEC_DEBUG") == "1":
        raise error
    if isinstance(error, MemoryError):
        print_error("not enough memory", str(error))
    else:
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"{where}{error.strerror or error}")
    return MISTAKE


def _report_defect(error: Exception) -> int:
    if os.environ.get("NETSPEC_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    print_error(
        f"a defect of netspec, not a mistake of yours: {summary}",
        "please report it, with what NETSPEC_DEBUG=1 prints",
    )
    return DEFECT
