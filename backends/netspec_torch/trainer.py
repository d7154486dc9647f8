"""Training of an emitted `nn.Module`: the recipe's loss by autograd, its optimizer by fused kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.errors import BackendError
from netspec.graph.placement import Placement
from netspec.lowering import Artifact, Batch, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.lowering.trainer import ITERATE, require_statistics
from netspec.ops.base import Array, Weights
from netspec_torch.alike import facts_of
from netspec_torch.average import Average
from netspec_torch.device import arithmetic, choose_device, describe, threads_for
from netspec_torch.distributed import Processes, without_exchange
from netspec_torch.feed import Feed
from netspec_torch.layout import takes_channels_last
from netspec_torch.loss import Targets, missed, summed_loss
from netspec_torch.masks import DropoutLayers
from netspec_torch.memory import keep_freed_memory
from netspec_torch.mistakes import mistakes_told
from netspec_torch.model import TorchModel
from netspec_torch.optimizer import clip, make_optimizer
from netspec_torch.synchronized import Share, synchronize
from netspec_torch.towers import Tower


class TorchTrainer(Trainer):
    """The emitted class on a device, with the recipe's loss and optimizer.

    PyTorch's own dropout is drawn from its default generators, seeded for each step and put back after it: a caller's
    random numbers are what they would be without the training.

    Args:
        artifact: of a graph with one input, and as its one output, and as auxiliary ones, logits (N, classes), or
            (N, classes, H, W).
        weights: canonical arrays to begin with.
        settings: recipe, normalization, device and precision.
        placement: where the artifact is one tower's, how the whole network lies; weights and states are the whole's.

    Raises:
        BackendError: the device, the precision or the other processes are not there, or there is nothing to train.
    """

    def __init__(
        self, artifact: Artifact, weights: Weights, settings: TrainerSettings, placement: Placement | None = None
    ) -> None:
        graph, recipe = artifact.graph, settings.recipe
        device = choose_device(settings, graph.dtype)
        self._processes = Processes.join(device, settings, lambda: facts_of(artifact, weights, settings, device))
        self._tower = Tower(placement, self._processes)
        native = TorchModel(artifact, self._tower.own(weights)).native.to(device)
        self._tower.attach(native)
        mixed = settings.precision == "bfloat16"
        self._threads = torch.get_num_threads()
        torch.set_num_threads(threads_for(graph, recipe.batch_size))
        # oneDNN has fast kernels for channels last, cuDNN in 16 bits alone.
        quicker = (mixed or device.type == "cpu") and takes_channels_last(graph)
        self._feed = Feed(graph, settings.normalization, device, channels_last=quicker)
        self._dropout = DropoutLayers(native, graph, device, self._tower.drops_alike(graph))
        self._bindings = {binding.weight: binding for binding in artifact.bindings}
        parameters = dict(native.named_parameters())
        self._trained = {name: parameters[b.path] for name, b in self._bindings.items() if b.path in parameters}
        if not self._trained:
            raise BackendError(f"{graph.name} has no weights to train")
        self._share = synchronize(native, self._processes.group) if self._processes.world > 1 else Share()
        self._network = self._processes.wrap(native, graph)
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=mixed)
        self._optimizer = make_optimizer(recipe, self._trained)
        self._average = Average(recipe.weight_average, self._trained)
        self._head_weights = settings.head_weights(graph)
        self._artifact, self._recipe, self._device, self.native = artifact, recipe, device, native
        self.rank, self.world, self.device = self._processes.rank, self._processes.world, str(device)
        self.notes = describe(device, settings, graph.dtype)
        if device.type == "cpu" and keep_freed_memory():
            self.notes += ("freed memory is kept, not handed back to the system",)
        self.processes, self.leads = self._processes.all, self._processes.leads
        if self.processes > 1:
            of_tower = f", tower {self._processes.tower} of {settings.towers}" if placement else ""
            self.notes += (f"process {self._processes.number} of {self.processes}{of_tower}",)
        if placement:
            self.notes += (self._kept(placement),)

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One optimizer step; see `Trainer.step`.

        Raises:
            BackendError: a batch does not fit the network, memory does not hold it, or another process is gone.
        """
        statistics = [(buffer, buffer.clone()) for buffer in self.native.buffers()]
        updated = False
        self._switch(training=True)
        try:
            with self._told(), arithmetic(self._device):
                loss, wrong = self._backward(batches, total, key)
                gradients = {name: _gradient(weight) for name, weight in self._trained.items()}
                self._tower.bring_together(gradients)
                kept = self._whole(gradients) if keep_gradients else None
                if math.isfinite(loss):
                    if self._recipe.clip_gradient_norm is not None:
                        norm = self._tower.norm(gradients)
                        clip([*gradients.values()], self._recipe.clip_gradient_norm, norm)
                    self._optimizer.step(gradients, rate)
                    self._average.follow(self._optimizer.updates)
                    updated = True
        finally:
            for weight in self._trained.values():
                weight.grad = None
            if not updated:
                for buffer, before in statistics:
                    buffer.copy_(before)
        return StepResult(loss, wrong, kept)

    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference; see `Trainer.predict`.

        Raises:
            BackendError: the inputs do not fit the network, or memory does not hold them.
        """
        self._switch(training=False)
        with self._told(), arithmetic(self._device), torch.inference_mode(), self._autocast:
            logits = self.native(self._feed.inputs(inputs))
        array: Array = _widened(logits).cpu().numpy()
        return array

    def export_state(self) -> TrainingState:
        """A copy of the state; see `Trainer.export_state`."""
        return self._exported(everywhere=True)

    def export_to_leader(self) -> TrainingState | None:
        """A copy of the state for the process that leads; the others hold no more than their share.

        Raises:
            BackendError: another process is gone.
        """
        with self._told():
            state = self._exported(everywhere=False)
        return state if self.leads else None

    def _exported(self, *, everywhere: bool) -> TrainingState:
        state = self.native.state_dict()
        native = {name: state[b.path] for name, b in self._bindings.items()} | self._average.averages
        kept = self._optimizer.slots() | ({ITERATE: self._average.iterates} if self._average.iterates else {})
        weights = self._whole(native, everywhere=everywhere)
        slots = {slot: self._whole(tensors, everywhere=everywhere) for slot, tensors in kept.items()}
        return TrainingState(weights, slots, self._optimizer.updates)

    def import_state(self, state: TrainingState) -> None:
        """Take over a state; see `Trainer.import_state`.

        Raises:
            WeightsError: the weights are another network's, or the slots another optimizer's.
        """
        weights = self._artifact.to_native(self._tower.own(state.weights))
        own = {slot: dict(self._tower.own(arrays)) for slot, arrays in state.slots.items()}
        slots = self._native_slots(replace(state, slots=own))
        iterates = slots.pop(ITERATE, {})
        self._switch(training=True)
        tensors = self.native.state_dict()
        for path, array in weights.items():
            tensors[path].copy_(_tensor(array))
        for name, average in self._average.averages.items():
            average.copy_(self._average.iterates[name])
            if name in iterates:
                self._average.iterates[name].copy_(iterates[name])
        self._optimizer.restore(slots, state.updates)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of an array over all ranks.

        Raises:
            BackendError: another process is gone.
        """
        with self._told():
            summed: NDArray[np.float64] = self._processes.sum(torch.tensor(values)).numpy()
        return summed

    def any(self, value: bool) -> bool:
        """Whether any process says so.

        Raises:
            BackendError: another process is gone.
        """
        with self._told():
            return self._processes.any(value)

    def close(self) -> None:
        """Leave the group of processes that train together, if this trainer formed it."""
        self._network = self.native
        self._processes.leave()
        torch.set_num_threads(self._threads)

    def _kept(self, placement: Placement) -> str:
        """What of the network lies in this process."""
        own = sum(weight.numel() for weight in self._trained.values())
        whole = sum(weight.size for weight in placement.graph.weights.values() if weight.trainable)
        slots = f", and of the optimizer's {' and '.join(self._optimizer.keeps)}" if self._optimizer.keeps else ""
        return f"trained weights here: {own:,} of {whole:,} ({own / whole:.3f}){slots}".replace("_", " ")

    def _switch(self, *, training: bool) -> None:
        """Set the mode of every layer, unless it is set: of a small network that takes as long as a layer does."""
        if self.native.training != training:
            self.native.train(training)
            self._average.show(average=not training)

    def _backward(self, batches: Sequence[Batch], total: int, key: int) -> tuple[float, float]:
        """The gradient of the mean loss, added up in the parameters; the loss, and how many labels were missed."""
        counts = self._processes.counts([len(batch.labels) for batch in batches])
        places = [place for place, count in enumerate(counts) if count]
        if not places:
            raise BackendError("a step needs at least one sample, received none")
        seen = torch.zeros(2, dtype=torch.float64, device=self._device)
        with self._dropout.drawn(key, self.rank, self._processes.tower):
            for place in places:
                require_statistics(self._artifact.graph, counts[place])
                batch = batches[place] if place < len(batches) and len(batches[place].labels) else None
                self._share.own, self._share.total = len(batch.labels) if batch else 0, counts[place]
                with without_exchange(self._network, wanted=place != places[-1]):
                    seen += self._backward_of(batch, total)
        loss, wrong = self._processes.sum(seen.cpu()).tolist()
        return loss / total, wrong

    def _backward_of(self, batch: Batch | None, total: int) -> Tensor:
        """Add a batch's gradient; the sum of its losses, and its misses. Without one, a stand-in adds nothing."""
        if batch is None:
            (x, targets), masks, factor = self._feed.stand_in(), None, 0.0
        else:
            x = self._feed.inputs(batch.inputs, batch.shifts, in_training=True)
            targets = self._feed.targets(batch)
            masks = self._tower.masks(batch.masks)
            factor = self.world / total  # the mean over processes is taken of the gradients
        with self._dropout.given(masks), self._autocast:
            outputs = self._network(x)
        logits, *heads = [_widened(each) for each in (outputs if isinstance(outputs, tuple) else (outputs,))]
        loss = self._loss(logits, targets)
        for weight, head in zip(self._head_weights, heads, strict=True):
            loss = loss + weight * self._loss(head, targets)
        (loss * factor).backward()  # type: ignore[no-untyped-call]
        found = torch.stack([loss.detach().double(), missed(logits.detach(), targets.labels)])
        return found if batch else torch.zeros_like(found)

    def _loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """The recipe's loss, summed over the samples."""
        return summed_loss(logits, targets, self._recipe.loss.label_smoothing)

    def _whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = True) -> dict[str, Array]:
        """Copies of tensors that are laid out as these weights are, as canonical arrays of the whole network."""
        found: dict[str, Array] = {}
        for name, tensor in tensors.items():
            own = self._bindings[name].to_canonical(tensor.detach().cpu().contiguous().numpy()).copy()
            whole = self._tower.whole(name, own, everywhere=everywhere)
            if whole is not None:
                found[name] = whole
        return found

    def _native_slots(self, state: TrainingState) -> dict[str, dict[str, Tensor]]:
        keeps = (*self._optimizer.keeps, *([ITERATE] if self._average.iterates else []))
        state.require_slots(keeps, {name: self._bindings[name].shape for name in self._trained})
        return {
            slot: {name: _tensor(self._bindings[name].to_native(array)) for name, array in arrays.items()}
            for slot, arrays in state.slots.items()
        }

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Within it, what the user can mend is raised as a BackendError."""
        with mistakes_told(self.device), self._processes.told():
            yield


def _gradient(weight: Tensor) -> Tensor:
    """What autograd left; of a weight that nothing depends on, zeros."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _widened(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
