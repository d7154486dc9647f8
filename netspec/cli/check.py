"""`netspec check`: validates specs without building anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netspec.cli.console import GREEN, print_error, print_out, style
from netspec.cli.options import set_option, spec_arguments
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.graph import Graph


@click.command(
    "check",
    short_help="Check specs, and report every problem.",
    epilog="""\b
Examples:
  netspec check specs/alexnet.yaml
  netspec check specs/*.yaml
  netspec check specs/alexnet.yaml --set classes=10
""",
)
@spec_arguments
@set_option
def command(specs: tuple[Path, ...], settings: tuple[str, ...]) -> int:
    """Check every field, name and shape of each spec, and that its recipe can train the network.

    A valid spec prints one line on stdout. All problems of the others go to stderr, each with its file, line and
    column; the exit code is then 2. No framework is imported.
    """
    from netspec.errors import SpecError

    invalid = 0
    for path in specs:
        try:
            graph = _checked(path, settings)
        except SpecError as error:
            invalid += 1
            print_error(f"{path}: {counted(len(error.diagnostics), 'problem')}\n{error.message}")
        else:
            weights = sum(weight.size for weight in graph.weights.values())
            ok = style("ok", GREEN)
            print_out(f"{path}: {ok}: {graph.name}, {counted(len(graph.nodes), 'layer')}, {counted(weights, 'weight')}")
    return SpecError.exit_code if invalid else 0


def _checked(path: Path, settings: tuple[str, ...]) -> Graph:
    """The graph of a spec that can be trained if it has a recipe."""
    from netspec.errors import Diagnostic, NetspecError, SpecError
    from netspec.spec import elaborate, read_spec

    spec = read_spec(path, settings)
    if spec.training is None:
        return elaborate(spec)
    from netspec.spec.trainable import require_trainable

    try:
        return require_trainable(spec)
    except SpecError:
        raise
    except NetspecError as error:
        at = spec.loss_at.at if spec.discriminator and spec.loss_at else spec.training_at
        raise SpecError([Diagnostic(at.where if at else None, error.message, error.hint)]) from error
