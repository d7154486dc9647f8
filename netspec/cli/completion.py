"""`netspec completion`: the script that completes commands, options and files with TAB."""

from __future__ import annotations

import click

from netspec.cli.console import print_out

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    short_help="Print a script that completes commands with TAB.",
    epilog="""\b
Examples:
  netspec completion bash > ~/.local/share/bash-completion/completions/netspec
  netspec completion zsh  > "${fpath[1]}/_netspec"
  netspec completion fish > ~/.config/fish/completions/netspec.fish

\b
For this shell alone:
  source <(netspec completion bash)
""",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell. Bash has to be 4.4 or newer."""
    from click.shell_completion import get_completion_class

    from netspec.cli.app import PROGRAM, cli

    complete = get_completion_class(shell)
    if complete is None:
        raise click.BadParameter(f"click completes no {shell}")
    script = complete(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    print_out(script.source_template % script.source_vars())
