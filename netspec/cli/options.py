"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

FILE = click.Path(path_type=Path)  # what reads it reports whether it is there and readable, for every file alike
ALL = "all"


class BackendNames(click.ParamType[tuple[str, ...]]):
    """Backends by name, separated by commas. The registry says whether there is such a backend."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names in the text."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names):
            self.fail(f"expected names separated by commas, received {value!r}", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The registered names, for the one that is being typed."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from netspec.lowering import backend_names

        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in (*backend_names(), ALL) if name.startswith(last)]


def backends_option(flag: str, text: str, *, required: bool = False) -> Callable[[Decorated], Decorated]:
    """`--backend NAMES` or `--backends NAMES`, repeatable; `text` says which there are, or what they are for."""
    return click.option(
        flag,
        "backends",
        type=BackendNames(),
        multiple=True,
        required=required,
        metavar="NAME[,NAME...]",
        help=text,
    )


def chosen_backends(given: Iterable[Sequence[str]]) -> list[str]:
    """The names of every occurrence of the option, each once, `all` replaced by all that are registered."""
    from netspec.lowering import backend_names

    names = [name for names in given for name in names]
    return list(dict.fromkeys(each for name in names for each in (backend_names() if name == ALL else [name])))


def installed_backends() -> tuple[list[Backend], list[Backend]]:
    """The registered backends whose frameworks are here, and the others.

    Raises:
        BackendError: none is here.
    """
    from netspec.errors import BackendError
    from netspec.lowering import backend_names, find_backend

    registered = [find_backend(name) for name in backend_names()]
    installed = [backend for backend in registered if not backend.missing()]
    if not installed:
        raise BackendError("no backend is installed, so there is nothing that computes", "pip install 'netspec[all]'")
    return installed, [backend for backend in registered if backend not in installed]


def spec_arguments(function: Decorated) -> Decorated:
    """`SPEC…`."""
    return click.argument("specs", nargs=-1, required=True, type=FILE, metavar="SPEC...")(function)


def spec_argument(function: Decorated) -> Decorated:
    """`SPEC`."""
    return click.argument("spec", type=FILE, metavar="SPEC")(function)


def set_option(function: Decorated) -> Decorated:
    """`--set NAME=VALUE`, repeatable."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a parameter, a part of the recipe (training.batch_size=64), or placement.towers. Repeatable.",
    )(function)


def json_option(function: Decorated) -> Decorated:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def weights_options(seeds: str) -> Callable[[Decorated], Decorated]:
    """`--weights FILE` and `--seed N`; `seeds` says what a seed draws."""

    def decorate(function: Decorated) -> Decorated:
        file = click.option("--weights", type=FILE, metavar="FILE", help="Weights from a safetensors file.")
        seed = click.option("--seed", type=click.IntRange(min=0), metavar="N", help=f"Seed of {seeds}.  [default: 0]")
        return file(seed(function))

    return decorate


def optimize_option(*levels: str, default: str) -> Callable[[Decorated], Decorated]:
    """`--optimize LEVEL`; `default` says what it is when left out."""
    return click.option(
        "--optimize",
        type=click.Choice(levels),
        help=f"Passes over the graph; `netspec show --passes` lists them.  [default: {default}]",
    )


device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="What computes."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What layers compute in; weights and updates stay float32.",
)
bad_sample_option = click.option(
    "--on-bad-sample",
    type=click.Choice(["fatal", "skip"]),
    default="fatal",
    show_default=True,
    help="What to do with an image that cannot be read.",
)
compile_option = click.option(
    "--compile", "compiled", is_flag=True, help="Compile PyTorch models for this machine; implies --optimize inference."
)


def level_of(optimize: str | None, compiled: bool) -> Level:
    """The level of optimization that the two options ask for."""
    return cast("Level", optimize or ("inference" if compiled else "none"))


def with_compilation(backends: Sequence[Backend], compiled: bool) -> list[Backend]:
    """The backends, PyTorch's compiled where that is asked for.

    Raises:
        click.UsageError: `--compile` without PyTorch.
    """
    if compiled and "torch" not in (backend.name for backend in backends):
        raise click.UsageError("--compile is for PyTorch, and the backends are others")
    return [b.with_options(compile=True) if compiled and b.name == "torch" else b for b in backends]


def chosen_weights(graph: Graph, weights: Path | None, seed: int | None) -> CanonicalWeights:
    """The weights of `--weights FILE`, or those that the spec's initializers draw from `--seed`."""
    from netspec.weights import initialize, load_weights

    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed exclude each other: a file has nothing to draw")
    return load_weights(weights, graph) if weights is not None else initialize(graph, seed or 0)
