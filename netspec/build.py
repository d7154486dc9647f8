"""Write the files of a build into one folder: what each backend emits for a network, and the canonical weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netspec.errors import BackendError
from netspec.files import staged
from netspec.graph import Graph
from netspec.graph.placement import place
from netspec.graph.tower import tower_graph, tower_weights
from netspec.lowering import Artifact, Backend, at_level
from netspec.lowering.python.naming import module_name
from netspec.ops.base import Weights
from netspec.passes import Level, optimize
from netspec.progress import Progress, silent
from netspec.weights import save_weights, write_arrays


def write_build(
    graph: Graph,
    backends: Sequence[Backend],
    weights: Weights,
    folder: Path,
    level: Level = "none",
    progress: Progress = silent,
) -> list[Path]:
    """Write `NAME.safetensors`, and each backend's files in a subfolder named after the backend.

    The graph is lowered for every backend before any file is written. Files appear in `folder` only once all of them
    are written. Source that loads a state dict has one beside it, with its own names and shapes.

    Args:
        graph: the network.
        backends: the backends to write files for.
        weights: canonical arrays.
        folder: the output folder; nothing outside it is written.
        level: the optimization level, for all backends and for the weights.
        progress: called with a description of each step before it begins.

    Returns:
        The paths, in the order of the backends, the weights last.

    Raises:
        BackendError: `backends` is empty, one of them does not support an op, or its framework is not installed.
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
            if backend.has_state_dict:
                written.append(_write_state(artifact, weights, stage / backend.name))
        progress("writing weights")
        # Any artifact gives the same weights: the passes that some backends leave out fold nothing.
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
    progress: Progress = silent,
) -> list[Path]:
    """Write a network divided among several devices (towers): one source for all of them, and the weights of each.

    Args:
        graph: the whole network.
        backend: a backend that supports towers.
        weights: canonical arrays of the whole network.
        folder: the output folder; nothing outside it is written.
        towers: the number of devices.
        level: an optimization level that keeps the weights as they are.
        progress: called with a description of each step before it begins.

    Returns:
        The paths: the source, then the state dict of each tower.

    Raises:
        UnplaceableError: the network cannot be divided among this many devices.
        BackendError: the backend does not support an op.
        WeightsError: the weights are not this network's.
        NetspecError: the folder cannot be written.
    """
    placement = place(optimize(graph, level, backend.costly_passes).graph, towers)
    tower = tower_graph(placement).check()
    progress(f"lowering to {backend.name}")
    artifact = backend.lower(tower)
    with staged(folder) as stage:
        written = [artifact.write_source(stage / backend.name)]
        for index in range(towers):
            progress(f"writing the weights of tower {index}")
            share = tower_weights(placement, weights, index)
            written.append(_write_state(artifact, share, stage / backend.name, f".{index}"))
    return [folder / path.relative_to(stage) for path in written]


def _write_state(artifact: Artifact, weights: Weights, folder: Path, suffix: str = "") -> Path:
    """Write the arrays that the emitted source loads, by their native paths, beside it."""
    path = folder / f"{module_name(artifact.graph.name)}{suffix}.safetensors"
    return write_arrays(path, artifact.to_native(weights), {"spec": artifact.graph.name})
