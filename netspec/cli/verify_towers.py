"""`netspec verify --parallel towers`: what is compared, and what cannot be asked for of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import progress

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.passes import Level as Optimization
    from netspec.spec import ModelSpec
    from netspec.verify import Level, Report


def compare_towers(
    spec: ModelSpec,
    graph: Graph,
    names: Sequence[str],
    level: Level | None,
    optimize: Optimization,
    deep: bool,
    common: Mapping[str, Any],
) -> Report:
    """The network in towers beside the network on one device.

    Args:
        spec: with a placement.
        graph: of it.
        names: the backend, where the command names one.
        level: how far to go; left out, as far as there is something to compare.
        optimize: the level at which both are trained.
        deep: whether every layer is asked for.
        common: weights, recipe and seed, as `verify_towers` takes them.

    Raises:
        click.UsageError: several backends, or something that towers do not offer.
        NetspecError: the spec has no placement, or the backend trains on one device alone.
    """
    from netspec.training.together import towers_of
    from netspec.verify.towers import verify_towers

    if len(names) > 1:
        raise click.UsageError("--parallel towers takes one backend at a time")
    if optimize == "inference":
        raise click.UsageError("--parallel towers is for networks that train: --optimize training, or none")
    if deep:
        raise click.UsageError("--deep and --parallel towers exclude each other: a layer's value lies on all devices")
    backend = _backend(names)
    towers = towers_of(spec, backend)
    with progress() as say:
        return verify_towers(graph, backend, towers, level, optimize=optimize, progress=say, **common)


def _backend(names: Sequence[str]) -> Backend:
    """The one that was named, or the first that trains in towers."""
    from netspec.lowering import backend_names, find_backend

    if names:
        return find_backend(names[0])
    found = map(find_backend, backend_names())
    return next(backend for backend in found if backend.in_towers)
