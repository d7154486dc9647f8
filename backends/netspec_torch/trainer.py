"""The trainer of an emitted `nn.Module`: autograd for the gradients, fused kernels for the updates."""

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
from netspec.lowering import Artifact, Batch, InputGradients, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.lowering.batch import require_statistics
from netspec.lowering.trainer import ITERATE
from netspec.ops.base import Array, Weights
from netspec_torch.average import Average
from netspec_torch.consistency import facts_of
from netspec_torch.device import arithmetic, choose_device, describe, threads_for
from netspec_torch.distributed import Processes, without_exchange
from netspec_torch.feed import Feed
from netspec_torch.layout import takes_channels_last
from netspec_torch.loss import Targets, count_wrong, summed_loss
from netspec_torch.masks import DropoutLayers
from netspec_torch.memory import keep_freed_memory
from netspec_torch.model import TorchModel
from netspec_torch.optimizer import clip, make_optimizer
from netspec_torch.out_of_memory import explain_out_of_memory
from netspec_torch.synchronized import Share, synchronize
from netspec_torch.tensors import array_of, at_least_float32, gradient_of, tensor_of
from netspec_torch.towers import Tower


class TorchTrainer(Trainer):
    """The emitted module on a device, with the recipe's loss and optimizer.

    Dropout draws from PyTorch's default generators, which are seeded for each step and restored after it, so that
    training does not change the random numbers of the caller.

    Args:
        artifact: the lowering of a graph with one input, whose output and auxiliary outputs are logits (N, classes) or
            (N, classes, H, W), or whose output is a generator's.
        weights: the initial canonical arrays.
        settings: recipe, normalization, device and precision.
        placement: for the artifact of one tower, the placement of the whole network. Weights and training states are
            those of the whole network.

    Raises:
        BackendError: the device or another process is not available, or the settings do not fit the network.
    """

    def __init__(
        self, artifact: Artifact, weights: Weights, settings: TrainerSettings, placement: Placement | None = None
    ) -> None:
        graph, recipe = artifact.graph, settings.recipe
        settings.require_fit(graph)
        device = choose_device(settings)
        self._processes = Processes.join(device, settings, lambda: facts_of(artifact, weights, settings, device))
        self._tower = Tower(placement, self._processes)
        native = TorchModel(artifact, self._tower.own(weights)).native.to(device)
        self._tower.attach(native)
        mixed = settings.precision == "bfloat16"
        # Channels last is faster with oneDNN, and with cuDNN in 16 bits.
        channels_last = (mixed or device.type == "cpu") and takes_channels_last(graph)
        self._feed = Feed(graph, settings.normalization, device, channels_last=channels_last)
        self._dropout = DropoutLayers(native, graph, device, self._tower.shared_dropouts(graph))
        self._bindings = {binding.weight: binding for binding in artifact.bindings}
        parameters = dict(native.named_parameters())
        self._trained = {name: parameters[b.path] for name, b in self._bindings.items() if b.path in parameters}
        self._share = synchronize(native, self._processes.group) if self._processes.world > 1 else Share()
        self._network = self._processes.wrap(native, graph)
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=mixed)
        self._optimizer = make_optimizer(recipe, self._trained, self._bindings)
        self._average = Average(recipe.weight_average, self._trained)
        self._head_weights = settings.head_weights(graph)
        self._artifact, self._recipe, self._device, self.native = artifact, recipe, device, native
        self.rank, self.world, self.device = self._processes.rank, self._processes.world, str(device)
        self.processes, self.leads = self._processes.all, self._processes.leads
        self._threads = torch.get_num_threads()
        torch.set_num_threads(threads_for(graph, recipe.batch_size))
        self.notes = tuple(self._notes(settings, placement))

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One optimizer step; see `Trainer.step`.

        Raises:
            BackendError: a batch does not fit the network, memory does not hold it, or another process is gone.
        """
        statistics = [(buffer, buffer.clone()) for buffer in self.native.buffers()]
        updated = False
        self._set_mode(training=True)
        try:
            with self._as_backend_errors(), arithmetic(self._device):
                loss, wrong = self._backward(batches, total, key)
                gradients = {name: gradient_of(weight) for name, weight in self._trained.items()}
                self._tower.reduce_gradients(gradients)
                returned = self._canonical(gradients) if keep_gradients else None
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
        return StepResult(loss, wrong, returned)

    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference; see `Trainer.predict`.

        Raises:
            BackendError: the inputs do not fit the network, or memory does not hold them.
        """
        self._set_mode(training=False)
        with self._as_backend_errors(), arithmetic(self._device), torch.inference_mode(), self._autocast:
            return array_of(self.native(self._feed.inputs(inputs)))

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        """The main output in training mode; see `Trainer.outputs`."""
        with self._unchanged(batches, key), torch.no_grad():
            return tuple(array_of(self._through(self._inputs(b), b.masks)[0]) for b in batches)

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        """The losses and their gradients in the input; see `Trainer.input_gradients`."""
        sums, gradients = torch.zeros(2, dtype=torch.float64, device=self._device), list[Tensor]()
        with self._unchanged(batches, key):
            for batch in batches:
                x = self._inputs(batch).requires_grad_()
                loss, wrong = self._losses(self._through(x, batch.masks), self._feed.targets(batch))
                gradients += torch.autograd.grad(loss, x)
                sums += torch.stack([loss.detach().double(), wrong])
        loss_of_all, wrong_of_all = sums.tolist()
        return InputGradients(loss_of_all, wrong_of_all, tuple(map(array_of, gradients)))

    def _inputs(self, batch: Batch) -> Tensor:
        """The input of the network in training."""
        return self._feed.inputs(batch.inputs, batch.shifts, in_training=True)

    def export_state(self) -> TrainingState:
        """A copy of the state; see `Trainer.export_state`."""
        return self._export(everywhere=True)

    def export_to_leader(self) -> TrainingState | None:
        """A copy of the state in the process that leads; the others never hold more than their share.

        Raises:
            BackendError: another process is gone.
        """
        with self._as_backend_errors():
            state = self._export(everywhere=False)
        return state if self.leads else None

    def _export(self, *, everywhere: bool) -> TrainingState:
        state = self.native.state_dict()
        native = {name: state[b.path] for name, b in self._bindings.items()} | self._average.averages
        tensors = self._optimizer.slots() | ({ITERATE: self._average.iterates} if self._average.iterates else {})
        weights = self._canonical(native, everywhere=everywhere)
        slots = {slot: self._canonical(by_weight, everywhere=everywhere) for slot, by_weight in tensors.items()}
        return TrainingState(weights, slots, self._optimizer.updates)

    def import_state(self, state: TrainingState) -> None:
        """Restore a state; see `Trainer.import_state`.

        Raises:
            WeightsError: the weights are another network's, or the slots another optimizer's.
        """
        weights = self._artifact.to_native(self._tower.own(state.weights))
        slots_here = {slot: dict(self._tower.own(arrays)) for slot, arrays in state.slots.items()}
        slots = self._native_slots(replace(state, slots=slots_here))
        iterates = slots.pop(ITERATE, {})
        self._set_mode(training=True)
        tensors = self.native.state_dict()
        for path, array in weights.items():
            tensors[path].copy_(tensor_of(array))
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
        with self._as_backend_errors():
            summed: NDArray[np.float64] = self._processes.sum(torch.tensor(values)).numpy()
        return summed

    def largest(self, value: int) -> int:
        """The largest of a number over all processes.

        Raises:
            BackendError: another process is gone.
        """
        with self._as_backend_errors():
            return self._processes.largest(value)

    def close(self) -> None:
        """Leave the process group, if this trainer formed it, and restore the number of threads."""
        self._network = self.native
        self._processes.leave()
        torch.set_num_threads(self._threads)

    def _notes(self, settings: TrainerSettings, placement: Placement | None) -> Iterator[str]:
        """The notes for the log."""
        yield from describe(self._device, settings, self._artifact.graph.dtype)
        if self._device.type == "cpu" and keep_freed_memory():
            yield "freed memory is kept, not handed back to the system"
        if self.processes > 1:
            of_tower = f", tower {self._processes.tower} of {settings.towers}" if placement else ""
            yield f"process {self._processes.number} of {self.processes}{of_tower}"
        if placement:
            yield self._describe_share(placement)

    def _describe_share(self, placement: Placement) -> str:
        """The note on how much of the network is in this process."""
        here = sum(weight.numel() for weight in self._trained.values())
        whole = sum(weight.size for weight in placement.graph.weights.values() if weight.trainable)
        slots = f", and of the optimizer's {' and '.join(self._optimizer.keeps)}" if self._optimizer.keeps else ""
        return f"trained weights here: {here:,} of {whole:,} ({here / whole:.3f}){slots}".replace("_", " ")

    def _set_mode(self, *, training: bool) -> None:
        """Set the mode of all layers, unless it is set already: in a small network, that takes as long as a layer."""
        if self.native.training != training:
            self.native.train(training)
            self._average.show(average=not training)

    def _backward(self, batches: Sequence[Batch], total: int, key: int) -> tuple[float, float]:
        """Accumulate the gradient of the mean loss in the parameters; returns the loss and the wrong predictions."""
        counts = self._processes.counts([len(batch.labels) for batch in batches])
        positions = [position for position, count in enumerate(counts) if count]
        if not positions:
            raise BackendError("a step needs at least one sample, received none")
        sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        with self._dropout.drawn(key, self.rank, self._processes.tower):
            for position in positions:
                require_statistics(self._artifact.graph, counts[position])
                batch = batches[position] if position < len(batches) and len(batches[position].labels) else None
                self._share.own, self._share.total = len(batch.labels) if batch else 0, counts[position]
                with without_exchange(self._network, wanted=position != positions[-1]):
                    sums += self._backward_of(batch, total)
        loss, wrong = self._processes.sum(sums.cpu()).tolist()
        return loss / total, wrong

    def _backward_of(self, batch: Batch | None, total: int) -> Tensor:
        """Accumulate the gradient of one batch; returns the sum of its losses, and its wrong predictions.

        Without a batch, a stand-in sample takes part in the collectives and contributes zero.
        """
        if batch is None:
            (x, targets), masks, factor = self._feed.stand_in(), None, 0.0
        else:
            x, targets = self._inputs(batch), self._feed.targets(batch)
            masks = self._tower.masks(batch.masks)
            factor = self.world / total  # gradients are averaged over the processes
        loss, wrong = self._losses(self._through(x, masks), targets)
        (loss * factor).backward()  # type: ignore[no-untyped-call]
        sums = torch.stack([loss.detach().double(), wrong])
        return sums if batch else torch.zeros_like(sums)

    def _through(self, x: Tensor, masks: Mapping[str, NDArray[np.bool_]] | None) -> list[Tensor]:
        """The outputs of the network in the mode that is set, the main one first."""
        with self._dropout.given(masks, len(x)), self._autocast:
            outputs = self._network(x)
        return [at_least_float32(each) for each in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def _losses(self, outputs: Sequence[Tensor], targets: Targets) -> tuple[Tensor, Tensor]:
        """The recipe's loss, summed over the samples, and the number of wrong predictions."""
        smoothing = self._recipe.label_loss.label_smoothing
        logits, *heads = outputs
        loss = summed_loss(logits, targets, smoothing)
        for weight, head in zip(self._head_weights, heads, strict=True):
            loss = loss + weight * summed_loss(head, targets, smoothing)
        return loss, count_wrong(logits.detach(), targets)

    @contextmanager
    def _unchanged(self, batches: Sequence[Batch], key: int) -> Iterator[None]:
        """A context in training mode that draws dropout as a step does, and leaves the running statistics as they were.

        Raises:
            BackendError: there are several processes, or a batch is too small for its statistics.
        """
        if self.processes > 1:
            raise BackendError("adversarial training is of one process, and this is one of several")
        for batch in batches:
            require_statistics(self._artifact.graph, len(batch.labels))
        statistics = [(buffer, buffer.clone()) for buffer in self.native.buffers()]
        self._set_mode(training=True)
        try:
            with self._as_backend_errors(), arithmetic(self._device), self._dropout.drawn(key, self.rank):
                yield
        finally:
            for buffer, before in statistics:
                buffer.copy_(before)

    def _canonical(self, tensors: Mapping[str, Tensor], *, everywhere: bool = True) -> dict[str, Array]:
        """Copy tensors with the layout of the weights to canonical arrays of the whole network, by weight."""
        here = (
            (name, self._bindings[name].to_canonical(tensor.detach().cpu().contiguous().numpy()).copy())
            for name, tensor in tensors.items()
        )
        return self._tower.whole(here, everywhere=everywhere)

    def _native_slots(self, state: TrainingState) -> dict[str, dict[str, Tensor]]:
        keeps = (*self._optimizer.keeps, *([ITERATE] if self._average.iterates else []))
        state.require_slots(keeps, {name: self._bindings[name].shape for name in self._trained})
        return {
            slot: {name: tensor_of(self._bindings[name].to_native(array)) for name, array in arrays.items()}
            for slot, arrays in state.slots.items()
        }

    @contextmanager
    def _as_backend_errors(self) -> Iterator[None]:
        """Re-raise the errors that the user can fix as BackendError."""
        with explain_out_of_memory(self.device), self._processes.explain_lost_process():
            yield
