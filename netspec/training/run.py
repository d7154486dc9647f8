"""A whole run: from a spec and data to a trained network in a folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Any, Literal

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.graph import Preprocessing
from netspec.graph.mean import write_npy
from netspec.lowering import Backend, Batch, Trainer, TrainerSettings, TrainingState, at_level
from netspec.lowering.trainer import PATIENCE, Device, Precision
from netspec.passes import Level
from netspec.recipe.augmentation import Views
from netspec.spec import ModelSpec, write_spec
from netspec.spec.write import mean_images
from netspec.training.checkpoint import Position, Run, load_checkpoint
from netspec.training.data.batches import Batches
from netspec.training.data.dataset import Dataset
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.findings import OnBadSample
from netspec.training.data.parallel import available_threads
from netspec.training.data.sources import open_data
from netspec.training.diagnose import diverged
from netspec.training.events import Observer, Observers
from netspec.training.folder import RunFolder, claimed, existing_folder, new_folder, require_name, require_room
from netspec.training.loop import Loop
from netspec.training.material import Material, gather, image_preprocessing, recipe_of
from netspec.training.metrics import MetricsFile, TensorBoard
from netspec.training.network import classes_of
from netspec.training.same_run import require_same_run
from netspec.training.schedule import Schedule
from netspec.training.score import Scores, score
from netspec.training.stop import StopRequested, StopSignals
from netspec.training.summary import write_run_report
from netspec.training.together import common_facts, towers_of
from netspec.training.update import slot_names
from netspec.weights import initialize, load_weights, require_file


@dataclass(frozen=True)
class TrainOptions:
    """What a run needs beside its spec.

    Attributes:
        data: `digits`, a local path, or a URL that fsspec opens.
        validation: another set to validate on; only where `data` is not divided itself.
        holdout: the share of `data` to validate on, likewise.
        name: of the run; the spec's, with a number where that is taken, when left out.
        out: the folder of all runs.
        resume: continue the run of this name.
        weights: to begin with, in place of freshly drawn ones.
        device, precision: what to compute on, and in.
        optimize: passes over the graph that is trained; its weights are the spec's.
        exact: take dropout masks from the shared stream: the same run in every backend.
        workers: processes that read batches; 0 reads them in threads.
        on_bad_sample: stop, or leave out what cannot be read.
        parallel: whether processes divide the samples alone, or the network too, by its placement.
        timeout: how long processes that train together wait for one another. Units: seconds.
        checkpoint_every: optimizer steps between checkpoints, besides one an epoch.
    """

    data: str = "digits"
    validation: str | None = None
    holdout: float | None = None
    name: str | None = None
    out: Path = Path("runs")
    resume: bool = False
    weights: Path | None = None
    device: Device = "auto"
    precision: Precision = "float32"
    optimize: Level = "training"
    exact: bool = False
    workers: int = 0
    on_bad_sample: OnBadSample = "fatal"
    parallel: Literal["data", "towers"] = "data"
    timeout: float = PATIENCE
    checkpoint_every: int = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        folder: where everything is; None in every process but the first of those that train together.
        position: where it ended.
        scores: of the validation set at the end, with the recipe's views; None without one or when it was stopped.
        stopped: the signal that ended it early.
    """

    folder: RunFolder | None
    position: Position
    scores: Scores | None = None
    stopped: Signals | None = None


def train(
    spec: ModelSpec,
    backend: Backend,
    options: TrainOptions,
    observer: Observer,
    progress: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Train a network by its recipe, or continue to.

    Args:
        spec: with a recipe.
        backend: what trains it.
        options: data, folder, device.
        observer: told of steps, epochs and notes.
        progress: called with what is about to be done before the first step.

    Raises:
        NetspecError: the spec, the data, the folder or the device do not do; a sample is bad; the loss diverged.
    """
    recipe = recipe_of(spec)
    if options.resume and options.weights is not None:
        raise NetspecError("a run that is continued has its own weights", "leave out --weights or --resume")
    if options.weights is not None:
        require_file(options.weights)
    backend = at_level(backend, options.optimize)
    backend.require()
    name = spec.name if options.name is None else require_name(options.name)
    choose = existing_folder if options.resume else new_folder
    find = partial(choose, options.out, name, named=options.name is not None)
    folder = find()
    progress("opening the data")
    splits = open_data(options.data, validation=options.validation, holdout=options.holdout, seed=recipe.seed)
    material = gather(spec, splits, progress)
    return _train(material, backend, options, (folder, None if options.resume else find), observer, progress)


def _train(
    material: Material,
    backend: Backend,
    options: TrainOptions,
    place: tuple[RunFolder, Callable[[], RunFolder] | None],
    observer: Observer,
    progress: Callable[[str], None],
) -> Outcome:
    validation = material.splits.validation.fingerprint if material.splits.validation is not None else ""
    recipe = material.recipe.model_dump(mode="json")
    run = Run(recipe, material.splits.training.fingerprint, options.exact, validation)
    trainer, position = _load(material, backend, options, place[0], run, progress)
    try:
        with claimed(*place) if trainer.leads else nullcontext() as folder:
            return _Session(material, backend, options, trainer, folder, run).finish(position, observer)
    finally:
        trainer.close()


def _load(
    material: Material,
    backend: Backend,
    options: TrainOptions,
    folder: RunFolder,
    run: Run,
    progress: Callable[[str], None],
) -> tuple[Trainer, Position]:
    """The trainer with what the first step finds. It has its own copy, or its share: the arrays are let go here."""
    progress("weights")
    state, position = _beginning(material, options, folder, run)
    progress(f"loading {backend.name}")
    towers = towers_of(material.spec, backend) if options.parallel == "towers" else 1
    settings = TrainerSettings(
        material.recipe,
        material.normalization,
        options.device,
        options.precision,
        towers,
        options.timeout,
        common_facts(material, run, position, options.checkpoint_every),
    )
    trainer = backend.trainer(material.graph, state.weights, settings)
    try:
        if position.step:
            trainer.import_state(state)
    except BaseException:
        trainer.close()
        raise
    return trainer, position


def _beginning(
    material: Material, options: TrainOptions, folder: RunFolder, run: Run
) -> tuple[TrainingState, Position]:
    """The state that the first step finds: drawn, given, or a checkpoint's."""
    graph = material.graph
    if options.resume:
        state, position, before = load_checkpoint(folder.last, graph, material.recipe)
        require_same_run(folder, before, run)
        return state, position
    weights: dict[str, Any] = (
        load_weights(options.weights, graph) if options.weights else initialize(graph, material.recipe.seed)
    )
    return TrainingState(weights), Position()


@dataclass
class _Session:
    """One process's part in a run, with everything loaded. Only the first of several has a folder and is heard."""

    material: Material
    backend: Backend
    options: TrainOptions
    trainer: Trainer
    folder: RunFolder | None
    run: Run

    def finish(self, position: Position, observer: Observer) -> Outcome:
        """Train to the end, score, and write the report."""
        batches = self._batches()  # whether the data do for the recipe is known before anything is written
        observers = self._observers(position, observer)
        stopped = scores = None
        try:
            for note in (*self.material.splits.notes, *self.trainer.notes):
                observers.note(note)
            with StopSignals() as stop:
                try:
                    position = self._loop(batches, observers, stop).finish(position)
                    if self.material.splits.validation is not None:
                        views = self.material.recipe.evaluation.views
                        scores = self._score(self.material.splits.validation, views, lambda _: None, observers)
                except StopRequested as request:
                    position, stopped = request.position, stop.received
        finally:
            observers.close()
        if stopped is None:
            state = self.trainer.export_to_leader()  # by all processes: it may lie on all of them
            if self.folder is not None and state is not None:
                write_run_report(self.folder, self.material, self.backend, self.trainer, state.weights, scores)
        return Outcome(self.folder, position, scores, stopped)

    def _observers(self, position: Position, observer: Observer) -> Observers:
        if self.folder is None:
            return Observers()
        state_size = sum(weight.size for weight in self.material.graph.weights.values())
        require_room(self.folder, state_size, len(slot_names(self.material.recipe)))
        self.folder.remove_unfinished()
        write_whole(self.folder.spec, write_spec(self.material.spec))
        for name, image in mean_images(self.material.spec).items():
            write_whole(self.folder.path / name, write_npy(image))
        metrics = MetricsFile(self.folder.metrics, position.step)
        return Observers(metrics, TensorBoard(self.folder.events, position.step), observer)

    def _batches(self) -> Batches:
        material = self.material
        return Batches(
            material.splits.training,
            material.input.type.features,
            self._preprocessing,
            material.recipe,
            material.components,
            rank=self.trainer.rank,
            world=self.trainer.world,
            on_bad_sample=self.options.on_bad_sample,
            rule=material.rule,
        )

    def _loop(self, batches: Batches, observers: Observers, stop: StopSignals) -> Loop:
        material, options = self.material, self.options
        validation = material.splits.validation
        return Loop(
            graph=material.graph,
            seed=material.recipe.seed,
            trainer=self.trainer,
            batches=batches,
            schedule=Schedule(material.recipe, batches.steps_per_epoch),
            folder=self.folder,
            run=self.run,
            observers=observers,
            evaluate=(lambda seen: self._score(validation, 1, seen, observers)) if validation is not None else None,
            diverged=self._diverged,
            exact=options.exact,
            checkpoint_every=options.checkpoint_every,
            stop=stop,
            threads=available_threads(),
            workers=options.workers,
        )

    @property
    def _preprocessing(self) -> Preprocessing | None:
        return image_preprocessing(self.material.graph) if self.material.splits.training.images else None

    def _score(self, validation: Dataset, views: Views, seen: Callable[[int], None], observers: Observers) -> Scores:
        """Score the validation set, each process its share of it."""
        done = 0

        def tell(samples: int) -> None:
            nonlocal done
            done += samples
            seen(samples)
            observers.evaluating(done, len(validation) // self.trainer.world)

        found = evaluation_batches(
            validation,
            self.material.input.type.features,
            self._preprocessing,
            views,
            max(1, self.material.recipe.batch_size // views),
            rank=self.trainer.rank,
            world=self.trainer.world,
            on_bad_sample=self.options.on_bad_sample,
            skipped=lambda message: observers.note(f"skipped: {message}"),
            rule=self.material.rule,
        )
        return score(self.trainer.predict, found, classes_of(self.material.graph), self.trainer.total, tell)

    def _diverged(self, step: int, loss: float, batches: tuple[Batch, ...]) -> NetspecError:
        weights = self.trainer.export_state().trained
        material = self.material
        return diverged(step, loss, material.graph, self.backend, weights, batches, material.normalization)
