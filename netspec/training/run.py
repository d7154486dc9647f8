"""A complete training run: from a spec and data to a trained network in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from netspec.errors import NetspecError
from netspec.lowering import Backend, Trainer, TrainerSettings, TrainingState, at_level
from netspec.progress import Progress, silent
from netspec.spec import ModelSpec
from netspec.training.checkpoint import Position, Run, load_checkpoint
from netspec.training.data.sources import open_data
from netspec.training.distributed import common_facts, towers_of
from netspec.training.events import Observer
from netspec.training.folder import RunFolder, claimed, existing_folder, new_folder, require_name
from netspec.training.material import Material, gather, recipe_of
from netspec.training.options import TrainOptions
from netspec.training.same_run import require_same_run
from netspec.training.session import Outcome, Session
from netspec.weights import initialize, load_weights, require_file


def train(
    spec: ModelSpec,
    backend: Backend,
    options: TrainOptions,
    observer: Observer,
    progress: Progress = silent,
) -> Outcome:
    """Train a network by its recipe, or resume an interrupted run.

    Args:
        spec: the network; it must have a recipe.
        backend: the backend that trains it.
        options: data, folder, device and the other settings of the run.
        observer: notified of steps, epochs and notes.
        progress: called with a description of each preparation before the first step.

    Raises:
        NetspecError: the spec, data, folder or device is unsuitable; a sample is bad; or the loss diverged.
    """
    recipe = recipe_of(spec)
    if options.resume and options.weights is not None:
        raise NetspecError("a run that is continued has its own weights", "leave out --weights or --resume")
    if options.weights is not None:
        require_file(options.weights)
    backend = at_level(backend, options.optimize)
    backend.require()
    name = spec.name if options.name is None else require_name(options.name)
    find = existing_folder if options.resume else new_folder
    find_folder = partial(find, options.out, name, named=options.name is not None)
    folder = find_folder()
    progress("opening the data")
    splits = open_data(
        options.data,
        validation=options.validation,
        holdout=options.holdout,
        seed=recipe.seed,
        on_bad_sample=options.on_bad_sample,
    )
    material = gather(spec, splits, progress)
    claim = partial(claimed, folder, None if options.resume else find_folder)
    return _train(material, backend, options, folder, claim, observer, progress)


def _train(
    material: Material,
    backend: Backend,
    options: TrainOptions,
    folder: RunFolder,
    claim: Callable[[], AbstractContextManager[RunFolder]],
    observer: Observer,
    progress: Progress,
) -> Outcome:
    """Load the trainer, `claim` the folder if this process leads, and run the session."""
    validation = material.splits.validation.fingerprint if material.splits.validation is not None else ""
    recipe = material.recipe.model_dump(mode="json")
    run = Run(recipe, material.splits.training.fingerprint, options.exact, validation)
    trainer, position = _load_trainer(material, backend, options, folder, run, progress)
    try:
        with claim() if trainer.leads else nullcontext() as own:
            return Session(material, backend, options, trainer, own, run).finish(position, observer)
    finally:
        trainer.close()


def _load_trainer(
    material: Material,
    backend: Backend,
    options: TrainOptions,
    folder: RunFolder,
    run: Run,
    progress: Progress,
) -> tuple[Trainer, Position]:
    """Return the trainer in its initial state, and the position to train from.

    The trainer copies the arrays, or its shard of them, so that the originals are freed on return.
    """
    progress("weights")
    state, position = _initial_state(material, options, folder, run)
    progress(f"loading {backend.name}")
    towers = towers_of(material.spec, backend) if options.parallel == "towers" else 1
    settings = TrainerSettings(
        material.recipe,
        material.normalization,
        options.device,
        options.precision,
        common_facts(material, run, position, options.checkpoint_every),
        towers=towers,
        timeout=options.timeout,
    )
    trainer = backend.trainer(material.graph, state.weights, settings)
    try:
        if position.step:
            trainer.import_state(state)
    except BaseException:
        trainer.close()
        raise
    return trainer, position


def _initial_state(
    material: Material, options: TrainOptions, folder: RunFolder, run: Run
) -> tuple[TrainingState, Position]:
    """The state before the first step: from a checkpoint, from a weights file, or freshly initialized."""
    graph = material.graph
    if options.resume:
        state, position, previous = load_checkpoint(folder.last, graph, material.recipe)
        require_same_run(folder, previous, run)
        return state, position
    weights: dict[str, Any] = (
        load_weights(options.weights, graph) if options.weights else initialize(graph, material.recipe.seed)
    )
    return TrainingState(weights), Position()
