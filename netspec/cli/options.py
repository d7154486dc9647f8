"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.passes import Level
    from netspec.weights import CanonicalWeights

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)  # existence is checked by the reader of the file, with the same error everywhere
ALL = "all"


class BackendNames(click.ParamType[tuple[str, ...]]):
    """Names of backends, separated by commas. The registry checks later that each exists."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names in the text."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names):
            self.fail(f"expected names separated by commas, received {value!r}", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the last name of the list with the registered names."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from netspec.lowering import backend_names

        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in (*backend_names(), ALL) if name.startswith(last)]


def backends_option(text: str, *, required: bool = False) -> Callable[[Decorated], Decorated]:
    """Add the repeatable option `--backend NAMES`, which may be written `--backends`, with `text` as its help."""
    return click.option(
        "--backend",
        "--backends",
        "backends",
        type=BackendNames(),
        multiple=True,
        required=required,
        metavar="NAME[,NAME...]",
        help=text,
    )


def chosen_backends(given: Iterable[Sequence[str]]) -> list[str]:
    """Return the names of all occurrences of the option without duplicates; `all` stands for every registered one."""
    from netspec.lowering import backend_names

    names = [name for names in given for name in names]
    return list(dict.fromkeys(each for name in names for each in (backend_names() if name == ALL else [name])))


def installed_backends() -> tuple[list[Backend], list[Backend]]:
    """Return the registered backends whose frameworks are installed, and the others.

    Raises:
        BackendError: no framework is installed.
    """
    from netspec.errors import BackendError
    from netspec.lowering import backend_names, find_backend

    registered = [find_backend(name) for name in backend_names()]
    installed = [backend for backend in registered if not backend.missing()]
    if not installed:
        raise BackendError("no backend is installed, so there is nothing that computes", "pip install 'netspec[all]'")
    return installed, [backend for backend in registered if backend not in installed]


def spec_arguments(function: Decorated) -> Decorated:
    """Add the argument `SPEC…`."""
    return click.argument("specs", nargs=-1, required=True, type=FILE, metavar="SPEC...")(function)


def spec_argument(function: Decorated) -> Decorated:
    """Add the argument `SPEC`."""
    return click.argument("spec", type=FILE, metavar="SPEC")(function)


def set_option(function: Decorated) -> Decorated:
    """Add the repeatable option `--set NAME=VALUE`."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a parameter, a part of the recipe (training.batch_size=64), or placement.towers. Repeatable.",
    )(function)


def json_option(function: Decorated) -> Decorated:
    """Add the flag `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def weights_options(seeded: str) -> Callable[[Decorated], Decorated]:
    """Add the options `--weights FILE` and `--seed N`; `seeded` names what the seed draws."""

    def decorate(function: Decorated) -> Decorated:
        file = click.option("--weights", type=FILE, metavar="FILE", help="Weights from a safetensors file.")
        seed = click.option("--seed", type=click.IntRange(min=0), metavar="N", help=f"Seed of {seeded}.  [default: 0]")
        return file(seed(function))

    return decorate


def optimize_option(*levels: str, default: str) -> Callable[[Decorated], Decorated]:
    """Add the option `--optimize LEVEL`, which is None when left out; `default` is what the help states."""
    return click.option(
        "--optimize",
        type=click.Choice(levels),
        help=f"Passes over the graph; `netspec show --passes` lists them.  [default: {default}]",
    )


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device to train on.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Dtype in which layers compute; weights and updates stay float32.",
)
bad_sample_option = click.option(
    "--on-bad-sample",
    type=click.Choice(["fatal", "skip"]),
    default="fatal",
    show_default=True,
    help="What to do with an image that cannot be read.",
)


def compile_options(function: Decorated) -> Decorated:
    """Add the options `--compile` and `--batch-size N`."""
    compiled = click.option(
        "--compile",
        "compiled",
        is_flag=True,
        help="Compile PyTorch models for this machine; implies --optimize inference.",
    )
    size = click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="With --compile: number of samples that the machine code takes, which makes it faster.  [default: any]",
    )
    return compiled(size(function))


def compilation_of(compiled: bool, batch_size: int | None) -> dict[str, object]:
    """Return the options of the PyTorch backend that `--compile` and `--batch-size` ask for; none without `--compile`.

    Raises:
        click.UsageError: `--batch-size` is given without `--compile`.
    """
    if batch_size is not None and not compiled:
        raise click.UsageError("--batch-size is for --compile: all other models take any number of samples")
    return {"compile": True, "batch_size": batch_size} if compiled else {}


def level_of(optimize: str | None, compilation: Mapping[str, object]) -> Level:
    """Return the level of optimization that `--optimize` and `--compile` ask for."""
    return cast("Level", optimize or ("inference" if compilation else "none"))


def with_compilation(backends: Sequence[Backend], compilation: Mapping[str, object]) -> list[Backend]:
    """Return the backends, that of PyTorch with these options.

    Raises:
        click.UsageError: there are options, and PyTorch is not among the backends.
    """
    if compilation and "torch" not in (backend.name for backend in backends):
        raise click.UsageError("--compile is for PyTorch, and the backends are others")
    return [b.with_options(**compilation) if compilation and b.name == "torch" else b for b in backends]


def chosen_weights(graph: Graph, weights: Path | None, seed: int | None) -> CanonicalWeights:
    """Return the weights of `--weights FILE`, or the initial weights that `--seed` draws."""
    from netspec.weights import initialize, load_weights

    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed exclude each other: a file has nothing to draw")
    return load_weights(weights, graph) if weights is not None else initialize(graph, seed or 0)
