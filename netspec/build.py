"""The files of a build: sources or models of a network, and its weights, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from netspec.errors import BackendError
from netspec.files import staged
from netspec.graph import Graph
from netspec.graph.placement import place
from netspec.graph.tower import tower_graph, tower_weights
from netspec.lowering import Backend, at_level
from netspec.ops.base import Weights
from netspec.passes import Level, optimize
from netspec.weights import save_weights


def write_build(
    graph: Graph,
    backends: Sequence[Backend],
    weights: Weights,
    folder: Path,
    level: Level = "none",
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write `NAME.safetensors`, and what each backend makes of the graph in a folder of the backend's name.

    Everything is lowered before anything is written, and everything is written before anything appears.

    Args:
        graph: the network.
        backends: what to write for.
        weights: canonical arrays.
        folder: where to; nothing outside it is written.
        level: of optimization, for all backends and the weights.
        progress: called with what is about to be done.

    Returns:
        The paths, in the order of the backends, the weights last.

    Raises:
        BackendError: no backend, an op that one does not support, or a framework that it needs is not installed.
        WeightsError: the weights are not this network's.
        NetspecError: the folder cannot be written.
    """
    if not backends:
        raise BackendError("expected one backend or more, received none")
    targets = [at_level(backend, level) for backend in backends]
    artifacts = []
    for backend in targets:
        progress(f"lowering to {backend.name}")
        artifacts.append(backend.lower(graph))
    with staged(folder) as stage:
        written = []
        for backend, artifact in zip(targets, artifacts, strict=True):
            progress(f"writing {backend.name}")
            written += backend.write(artifact, weights, stage / backend.name)
        progress("writing weights")
        # The weights of one are those of all: the passes that a backend does without fold nothing.
        optimized = artifacts[0].optimized if level != "none" else None
        written.append(save_weights(stage / f"{graph.name}.safetensors", graph, weights, optimized))
    return [folder / path.relative_to(stage) for path in written]


def write_tower(
    graph: Graph,
    backend: Backend,
    weights: Weights,
    folder: Path,
    towers: int,
    level: Level = "none",
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write what each of several devices runs: one source, the same for all, and the weights of each.

    Args:
        graph: the whole network.
        backend: that trains in towers.
        weights: canonical arrays of the whole network.
        folder: where to; nothing outside it is written.
        towers: over how many devices.
        level: of optimization; those that keep the weights as they are.
        progress: called with what is about to be done.

    Returns:
        The paths: the source, then `NAME_tower.T.safetensors` of each tower T.

    Raises:
        UnplaceableError: the network cannot be divided among this many devices.
        BackendError: an op that the backend does not support.
        WeightsError: the weights are not this network's.
        NetspecError: the folder cannot be written.
    """
    placement = place(optimize(graph, level, backend.costly_passes).graph, towers)
    own = tower_graph(placement).check()
    progress(f"lowering to {backend.name}")
    artifact = backend.lower(own)
    with staged(folder) as stage:
        written = backend.write(artifact, tower_weights(placement, weights, 0), stage / backend.name)
        for tower in range(towers):
            progress(f"writing the weights of tower {tower}")
            path = stage / f"{own.name}.{tower}.safetensors"
            written.append(save_weights(path, own, tower_weights(placement, weights, tower)))
    return [folder / path.relative_to(stage) for path in written]
