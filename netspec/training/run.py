"""A complete training run: from a spec and data to a trained network in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from netspec.errors import NetspecError
from netspec.graph.text import spec_hash
from netspec.lowering import Backend, Trainer, TrainerSettings, TrainingState, at_level
from netspec.lowering.environment import environment
from netspec.progress import Progress, silent
from netspec.spec import ModelSpec
from netspec.spec.write import written_recipe
from netspec.training.adversarial import AdversarialTrainer, joined
from netspec.training.checkpoint import Position, Run, load_checkpoint
from netspec.training.data.sources import open_data
from netspec.training.distributed import common_facts, towers_of
from netspec.training.events import Observer
from netspec.training.folder import RunFolder, claimed, existing_folder, new_folder, require_name
from netspec.training.material import Material, gather, recipe_of
from netspec.training.options import TrainOptions
from netspec.training.same_run import require_same_run
from netspec.training.session import Outcome, Session
from netspec.weights import initialize, load_weights, require_file, stream


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
    if spec.discriminator is not None:
        _require_no_labels(spec.name, options)
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
        labelled=spec.discriminator is None,
    )
    material = gather(spec, splits, progress)
    claim = partial(claimed, folder, None if options.resume else find_folder)
    return _train(material, backend, options, folder, claim, observer, progress)


def _require_no_labels(name: str, options: TrainOptions) -> None:
    """Check that the options are for a generator.

    Raises:
        NetspecError: they have something to validate with, or several processes.
    """
    if options.validation is not None or options.holdout:
        raise NetspecError(
            f"{name} is a generator: its samples have no labels, so there is nothing to validate",
            f"leave out {'--holdout' if options.validation is None else '--validation'}: all samples are trained on",
        )
    if options.parallel == "towers" or environment("WORLD_SIZE", 1, least=1) > 1:
        raise NetspecError(
            f"{name} is a generator: adversarial training is of one process", "start it without torchrun and --parallel"
        )


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
    run = _identity(material, options)
    trainer, position = _load_trainer(material, backend, options, folder, run, progress)
    try:
        with claim() if trainer.leads else nullcontext() as own:
            return Session(material, backend, options, trainer, own, run).finish(position, observer)
    finally:
        trainer.close()


def _identity(material: Material, options: TrainOptions) -> Run:
    """What must be the same when the run is resumed."""
    validation = material.splits.validation.fingerprint if material.splits.validation is not None else ""
    recipe = written_recipe(material.recipe).model_dump(mode="json")
    discriminator = None
    if (opponent := material.opponent) is not None:
        discriminator = {"network": spec_hash(opponent.graph), "recipe": opponent.recipe.model_dump(mode="json")}
    return Run(recipe, material.splits.training.fingerprint, options.exact, validation, discriminator)


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
    trainer = _trainer(material, backend, state, settings, exact=options.exact)
    try:
        if position.step:
            trainer.import_state(state)
    except BaseException:
        trainer.close()
        raise
    return trainer, position


def _trainer(
    material: Material, backend: Backend, state: TrainingState, settings: TrainerSettings, *, exact: bool
) -> Trainer:
    if material.opponent is None:
        return backend.trainer(material.graph, state.weights, settings)
    return AdversarialTrainer(material.graph, material.opponent, state.weights, backend, settings, exact=exact)


def _initial_state(
    material: Material, options: TrainOptions, folder: RunFolder, run: Run
) -> tuple[TrainingState, Position]:
    """The state before the first step: from a checkpoint, from a weights file, or freshly initialized."""
    graph, opponent = material.graph, material.opponent
    if options.resume:
        state, position, previous = load_checkpoint(folder.last, graph, material.recipe, opponent)
        require_same_run(folder, previous, run)
        return state, position
    weights: dict[str, Any] = (
        load_weights(options.weights, graph) if options.weights else initialize(graph, material.recipe.seed)
    )
    if opponent is not None:
        # A stream of its own: a layer of the same name in both networks would have the same weights.
        own_seed = int(stream(material.recipe.seed, "discriminator").integers(2**62))
        weights = joined(weights, initialize(opponent.graph, own_seed))
    return TrainingState(weights), Position()
