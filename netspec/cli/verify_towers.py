"""`netspec verify --parallel towers`: a network on several devices compared with the same network on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import click

from netspec.cli.console import progress

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.passes import Level as Optimization
    from netspec.recipe import Recipe
    from netspec.spec import ModelSpec
    from netspec.verify import Level, Report
    from netspec.weights import CanonicalWeights


class Common(TypedDict):
    """The arguments that `verify` and `verify_towers` both take."""

    weights: CanonicalWeights | None
    recipe: Recipe | None
    seed: int


def compare_towers(
    spec: ModelSpec,
    graph: Graph,
    names: Sequence[str],
    level: Level | None,
    optimize: Optimization,
    deep: bool,
    common: Common,
) -> Report:
    """Compare the network in towers with the network on one device.

    Args:
        spec: a spec with a `placement:`.
        graph: its graph.
        names: the backends that the command names.
        level: the last level to compare; None for as far as the network allows.
        optimize: the level of optimization of both networks.
        deep: whether `--deep` is given.
        common: further arguments of `verify_towers`.

    Raises:
        click.UsageError: several backends are named, or an option does not apply to towers.
        NetspecError: the spec has no placement, or the backend cannot train in towers.
    """
    from netspec.lowering import find_backend
    from netspec.training.distributed import towers_of
    from netspec.verify.towers import verify_towers

    if len(names) > 1:
        raise click.UsageError("--parallel towers takes one backend at a time")
    if optimize == "inference":
        raise click.UsageError("--parallel towers is for networks that train: --optimize training, or none")
    if deep:
        raise click.UsageError("--deep and --parallel towers exclude each other: a layer's value lies on all devices")
    backend = find_backend(names[0]) if names else _backend_for_towers()
    towers = towers_of(spec, backend)
    with progress() as show:
        return verify_towers(graph, backend, towers, level, optimize=optimize, progress=show, **common)


def _backend_for_towers() -> Backend:
    """Return the first registered backend that trains in towers."""
    from netspec.lowering import backend_names, find_backend

    return next(backend for backend in map(find_backend, backend_names()) if backend.supports_towers)
