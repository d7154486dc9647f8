"""An emitted `nn.Module`, loaded: canonical arrays in, canonical arrays out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netspec.errors import BackendError
from netspec.lowering import Artifact, Gradients, Model
from netspec.lowering.backend import cotangents_of, inputs_of, named
from netspec.lowering.python.module import load_source
from netspec.lowering.python.naming import module_name
from netspec.ops.base import Array, Weights


class TorchModel(Model):
    """The emitted class on the meta device, its weights assigned without a random initialization before.

    The module owns its parameters: those that share memory with the caller's arrays are copied, so that training
    the module leaves the arrays as they are; unless the arrays are donated.
    """

    def __init__(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> None:
        self.artifact = artifact
        module = load_source(str(artifact.content), module_name(artifact.graph.name))
        with torch.device("meta"):
            self.native: Any = getattr(module, artifact.entry)()
        native = artifact.to_native(weights)
        given = {} if donated else weights
        state = {b.path: _owned(native[b.path], given.get(b.weight)) for b in artifact.bindings}
        disagreements = _assign(self.native, state)
        on_meta = [p for p, t in (*self.native.named_parameters(), *self.native.named_buffers()) if t.is_meta]
        if problems := [*disagreements, *on_meta]:
            raise BackendError(
                f"{artifact.entry}: emitted source and bindings disagree on {', '.join(dict.fromkeys(problems))}"
            )
        self.native.eval()

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of inference by name, in evaluation mode and without a graph of gradients."""
        with torch.inference_mode():
            return self._named(self._call(self._tensors(inputs)))

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name, in training mode; masks are drawn from torch's default generator."""
        self.native.train()
        try:
            with torch.no_grad():
                return self._named(self._call(self._tensors(inputs)))
        finally:
            self.native.eval()

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives by autograd, of parameters and inputs at once."""
        graph = self.artifact.graph
        directions = _tensors(cotangents_of(graph, cotangents))
        tensors = [t.requires_grad_() for t in self._tensors(inputs)]
        parameters = dict(self.native.named_parameters())
        bindings = [b for b in self.artifact.bindings if b.path in parameters]
        outputs = self._call(tensors)
        derivatives = torch.autograd.grad(
            outputs,
            [*(parameters[b.path] for b in bindings), *tensors],
            directions,
            allow_unused=True,
            materialize_grads=True,
        )
        arrays = _arrays(derivatives)
        return Gradients(
            weights={b.weight: b.to_canonical(array) for b, array in zip(bindings, arrays, strict=False)},
            inputs=named([i.name for i in graph.inputs], arrays[len(bindings) :]),
        )

    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name."""
        state = self.native.state_dict()
        return self.artifact.to_canonical({b.path: state[b.path].numpy() for b in self.artifact.bindings})

    def _tensors(self, inputs: Mapping[str, Array]) -> list[Tensor]:
        return _tensors(inputs_of(self.artifact.graph, inputs))

    def _call(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        outputs = self.native(*tensors)
        return (outputs,) if isinstance(outputs, Tensor) else outputs

    def _named(self, outputs: Sequence[Tensor]) -> dict[str, Array]:
        # Auxiliary outputs, which stand last, are given in training alone.
        return named(self.artifact.graph.outputs[: len(outputs)], _arrays(outputs))


def _assign(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Put each tensor where its path says, and torch's own counters, which no graph has, at zero.

    `load_state_dict` looks through all tensors again for every module: a network twice as deep would take four times
    as long.

    Returns:
        Paths that the module alone has, that the state alone has, and that have another shape in each.
    """
    places = module.state_dict(keep_vars=True)
    counters = {p: torch.zeros_like(t, device="cpu") for p, t in places.items() if p.endswith(".num_batches_tracked")}
    state = {**state, **counters}
    missing = [path for path in places if path not in state]
    unexpected = [path for path in state if path not in places]
    reshaped = []
    for path, place in places.items():
        if path not in state:
            continue
        tensor, (owner, _, name) = state[path], path.rpartition(".")
        if tensor.shape != place.shape:
            reshaped.append(f"{path} (shape {tuple(place.shape)} in the source, {tuple(tensor.shape)} in the bindings)")
        if isinstance(place, nn.Parameter):
            tensor = nn.Parameter(tensor, requires_grad=place.requires_grad)
        setattr(module.get_submodule(owner), name, tensor)
    return [*missing, *unexpected, *reshaped]


def _owned(array: Array, given: Array | None) -> Tensor:
    """The array as a tensor, copied only where it is still the caller's memory, or cannot be written."""
    shared = given is not None and np.may_share_memory(array, given)
    return torch.tensor(array) if shared or not array.flags.writeable else torch.from_numpy(array)


def _tensors(arrays: Iterable[Array]) -> list[Tensor]:
    """Copies: an output may be an input itself, and must not be the caller's memory."""
    return [torch.tensor(array) for array in arrays]


def _arrays(tensors: Iterable[Tensor]) -> list[Array]:
    return [t.detach().contiguous().numpy() for t in tensors]
