"""One process's part in a training run, after everything has been loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from signal import Signals

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.graph import Preprocessing
from netspec.graph.mean import write_npy
from netspec.graph.training import classes_of
from netspec.lowering import Backend, Batch, Trainer
from netspec.lowering.batch import require_statistics
from netspec.ops.base import Weights
from netspec.recipe.augmentation import Views
from netspec.recipe.optimizer import CURVATURE
from netspec.spec import write_spec
from netspec.spec.write import DISCRIMINATOR_FILE, mean_images
from netspec.training.adversarial import Opponent, divided
from netspec.training.checkpoint import Position, Run
from netspec.training.curvature import rates, with_curvature
from netspec.training.data.batches import Batches
from netspec.training.data.dataset import Dataset
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.parallel import available_threads
from netspec.training.diagnose import diverged
from netspec.training.events import Observer, Observers
from netspec.training.folder import RunFolder, require_room
from netspec.training.loop import Loop
from netspec.training.material import Material, image_preprocessing
from netspec.training.metrics import MetricsFile, TensorBoard
from netspec.training.options import TrainOptions
from netspec.training.samples import SampleSheet
from netspec.training.schedule import Schedule
from netspec.training.score import Scores, score
from netspec.training.stop import StopRequested, StopSignals
from netspec.training.summary import write_run_report
from netspec.training.update import slot_names
from netspec.weights import save_weights
from netspec.words import counted


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        folder: the run folder; None in every process of a distributed run but the leader.
        position: where training ended.
        scores: final scores on the validation set, with the recipe's views; None without a validation set, or when
            the run was stopped.
        stopped: the signal that ended the run early, if one did.
    """

    folder: RunFolder | None
    position: Position
    scores: Scores | None = None
    stopped: Signals | None = None


@dataclass
class Session:
    """One process's part in a training run. In a distributed run, only the leader has a folder and observers."""

    material: Material
    backend: Backend
    options: TrainOptions
    trainer: Trainer
    folder: RunFolder | None
    run: Run

    def finish(self, position: Position, observer: Observer) -> Outcome:
        """Train from a position to the end, score the validation set, and write the report."""
        batches = self._batches()  # validates the data against the recipe, before anything is written
        self._require_length(position, batches)
        observers = self._observers(position, observer)
        stopped = scores = None
        try:
            for note in (*self.material.splits.notes, *self.trainer.notes, *self._lock_notes()):
                observers.note(note)
            with StopSignals() as stop:
                try:
                    position = self._loop(batches, observers, stop).finish(position)
                    scores = self._final_scores(position, observers, stop)
                except StopRequested as request:
                    position, stopped = request.position, request.signal
        finally:
            observers.close()
        if stopped is None:
            state = self.trainer.export_to_leader()  # a collective call: the state may be sharded over the processes
            if self.folder is not None and state is not None:
                weights = self._save_apart(self.folder, state.weights)
                write_run_report(self.folder, self.material, self.backend, self.trainer, weights, scores)
        return Outcome(self.folder, position, scores, stopped)

    def _save_apart(self, folder: RunFolder, weights: Weights) -> Weights:
        """Return the network's weights; those of a discriminator trained with it get a file of their own."""
        own, others = divided(weights)
        if self.material.opponent is not None:
            save_weights(folder.path / "discriminator.safetensors", self.material.opponent.graph, others)
        return own

    def _final_scores(self, position: Position, observers: Observers, stop: StopSignals) -> Scores | None:
        """The scores with the recipe's views; None without a validation set. Stops like the validation of an epoch."""
        if self.material.splits.validation is None:
            return None

        def check(samples: int) -> None:
            del samples
            if stop.received is not None and self.trainer.processes == 1:
                raise StopRequested(position, stop.received)  # the last checkpoint is of this position

        return self._score(self.material.splits.validation, self.material.recipe.evaluation.views, check, observers)

    def _lock_notes(self) -> Iterator[str]:
        """A warning if the file system has no locks: nothing then keeps a second run out of the folder."""
        if self.folder is not None and not self.folder.locked:
            yield f"{self.folder.path} cannot be locked here: let no other run write to it meanwhile"

    def _observers(self, position: Position, observer: Observer) -> Observers:
        if self.folder is None:
            return Observers()
        self._write_spec(self.folder)
        metrics = MetricsFile(self.folder.metrics, position.step, epoch_open=position.epoch.samples > 0)
        sheet = SampleSheet.of(self.material, self.trainer, self.folder)
        board = TensorBoard(self.folder.events, position.step)
        return Observers(metrics, board, *([sheet] if sheet else []), observer)

    def _write_spec(self, folder: RunFolder) -> None:
        """Write the first files of the run, once the disk is known to have room for its checkpoints."""
        folder.remove_unfinished()
        material, opponent, other = self.material, self.material.opponent, self.material.spec.discriminator
        require_room(folder, _elements(material) + (_elements(opponent) if opponent else 0))
        for path, spec in {folder.spec: material.spec, folder.path / DISCRIMINATOR_FILE: other}.items():
            if spec is not None:
                write_whole(path, write_spec(spec))
                for name, image in mean_images(spec).items():
                    write_whole(folder.path / name, write_npy(image))

    def _batches(self) -> Batches:
        material = self.material
        batches = Batches(
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
        smallest = batches.smallest(self._schedule(batches).total_steps)
        for graph in (material.graph, material.reader):
            require_statistics(graph, smallest)
        return batches

    def _schedule(self, batches: Batches) -> Schedule:
        return Schedule(self.material.recipe, batches.steps_per_epoch)

    def _require_length(self, position: Position, batches: Batches) -> None:
        """Raise NetspecError if the run has gone beyond its recipe: its files would then contradict the recipe."""
        steps = self._schedule(batches).total_steps
        if position.step > steps:
            raise NetspecError(
                f"the run has taken {counted(position.step, 'step')}, and its recipe has {steps:,} now",
                "a run can be made longer, but not shorter: set training.epochs or training.steps accordingly",
            )

    def _loop(self, batches: Batches, observers: Observers, stop: StopSignals) -> Loop:
        material, options = self.material, self.options
        validation = material.splits.validation
        return Loop(
            graph=material.graph,
            seed=material.recipe.seed,
            trainer=self.trainer,
            batches=batches,
            schedule=self._schedule(batches),
            folder=self.folder,
            run=self.run,
            observers=observers,
            evaluate=(lambda scored: self._score(validation, 1, scored, observers)) if validation is not None else None,
            diverged=self._diverged,
            # A pair of networks draws its masks itself, for each of them.
            exact=options.exact and material.opponent is None,
            checkpoint_every=options.checkpoint_every,
            stop=stop,
            prepare=lambda step, done: self._estimate_curvature(step, batches, observers, done),
            threads=available_threads(),
            workers=options.workers,
            keeps_best=material.opponent is None,
        )

    def _estimate_curvature(
        self, step: int, batches: Batches, observers: Observers, done: Callable[[int], None]
    ) -> None:
        """Before the epoch that begins with this step, set the curvature, if it is the optimizer's to read."""
        material, trainer = self.material, self.trainer
        if CURVATURE not in material.recipe.optimizer.slots:
            return
        steps = (batches.step(step + ahead) for ahead in range(batches.steps_per_epoch))
        before = trainer.export_state()
        state = with_curvature(
            before, material.graph, material.recipe, material.normalization, steps, trainer.total, done
        )
        trainer.import_state(state)
        if not step:
            least, most = rates(material.recipe, state, material.recipe.optimizer.learning_rate)
            observers.note(f"by the curvature, weights begin with rates of {least:.1e} to {most:.1e}")

    @property
    def _preprocessing(self) -> Preprocessing | None:
        return image_preprocessing(self.material.reader) if self.material.splits.training.images else None

    def _score(self, validation: Dataset, views: Views, scored: Callable[[int], None], observers: Observers) -> Scores:
        """Score the validation set; each rank predicts its share of the samples."""
        done, share = 0, len(range(self.trainer.rank, len(validation), self.trainer.world))

        def report(samples: int) -> None:
            nonlocal done
            done += samples
            scored(samples)
            observers.evaluating(done, share)

        batches = evaluation_batches(
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
        return score(self.trainer.predict, batches, classes_of(self.material.graph), self.trainer.total, report)

    def _diverged(self, step: int, loss: float, batches: tuple[Batch, ...]) -> NetspecError:
        weights, material = self.trainer.export_state().trained, self.material
        return diverged(step, loss, material.reader, self.backend, weights, batches, material.normalization)


def _elements(network: Material | Opponent) -> int:
    """The number of elements of a network's weights and of the arrays that its optimizer keeps for each."""
    return sum(weight.size for weight in network.graph.weights.values()) * (1 + len(slot_names(network.recipe)))
