"""A loaded `nn.Module`: canonical arrays in, canonical arrays out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netspec.errors import BackendError
from netspec.lowering import Artifact, Gradients, Model
from netspec.lowering.backend import cotangents_of, inputs_of, named
from netspec.lowering.python.module import load_source
from netspec.lowering.python.naming import module_name
from netspec.ops.base import Array, Weights


class TorchModel(Model):
    """An instance of the emitted class, created on the meta device so that no time is spent on initialization.

    Unless the weights are donated, parameters never share memory with the caller's arrays: training the module does
    not change them.
    """

    def __init__(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> None:
        self.artifact = artifact
        module = load_source(str(artifact.content), module_name(artifact.graph.name))
        with torch.device("meta"), _NothingDrawn():
            self.native: Any = getattr(module, artifact.entry)()
        native = artifact.to_native(weights)
        shared = {} if donated else weights
        state = {b.path: _owned(native[b.path], shared.get(b.weight)) for b in artifact.bindings}
        mismatches = _assign(self.native, state)
        on_meta = [p for p, t in (*self.native.named_parameters(), *self.native.named_buffers()) if t.is_meta]
        if problems := [*mismatches, *on_meta]:
            raise BackendError(
                f"{artifact.entry}: emitted source and bindings disagree on {', '.join(dict.fromkeys(problems))}"
            )
        self.native.eval()

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The inference outputs by name, in evaluation mode and without gradients."""
        with torch.inference_mode():
            return self._named(self._call(self._tensors(inputs)))

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, in training mode; dropout masks are drawn from torch's default generator."""
        self.native.train()
        try:
            with torch.no_grad():
                return self._named(self._call(self._tensors(inputs)))
        finally:
            self.native.eval()

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Gradients of parameters and inputs by one call of autograd; see `Model.gradients`."""
        graph = self.artifact.graph
        tensors = [t.requires_grad_() for t in self._tensors(inputs)]
        directions = _tensors(cotangents_of(graph, cotangents, len(tensors[0])))
        parameters = dict(self.native.named_parameters())
        bindings = [b for b in self.artifact.bindings if b.path in parameters]
        moved = [*(parameters[b.path] for b in bindings), *tensors]
        # An output of constants alone depends on none of them, and has no graph to go back through.
        depends = [pair for pair in zip(self._call(tensors), directions, strict=True) if pair[0].requires_grad]
        if not depends:
            derivatives = tuple(map(torch.zeros_like, moved))
        else:
            outputs, chosen = zip(*depends, strict=True)
            derivatives = torch.autograd.grad(outputs, moved, chosen, allow_unused=True, materialize_grads=True)
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
        # Auxiliary outputs are last, and present in training only.
        return named(self.artifact.graph.outputs[: len(outputs)], _arrays(outputs))


_NORMAL: Final[tuple[Any, ...]] = (Tensor.normal_, nn.init.normal_)


class _NothingDrawn(TorchFunctionMode):
    """Leaves a tensor as it is where normally distributed values would be drawn: on the meta device it has none.

    PyTorch has no kernel for it there but a decomposition, for which it imports its compiler, and that takes seconds.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, unless it draws."""
        arguments = kwargs or {}
        if function in _NORMAL:
            return args[0] if args else arguments["tensor"]
        return function(*args, **arguments)


def _assign(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Assign the tensors of a state dict to a module, and zeros to the `num_batches_tracked` counters of torch.

    `load_state_dict` filters the whole state dict for every module, which takes time quadratic in the depth.

    Returns:
        The paths that are missing from the state, unexpected in it, or of another shape.
    """
    targets = module.state_dict(keep_vars=True)
    counters = {p: torch.zeros_like(t, device="cpu") for p, t in targets.items() if p.endswith(".num_batches_tracked")}
    state = {**state, **counters}
    missing = [path for path in targets if path not in state]
    unexpected = [path for path in state if path not in targets]
    reshaped = []
    for path, target in targets.items():
        if path not in state:
            continue
        tensor, (owner, _, name) = state[path], path.rpartition(".")
        if tensor.shape != target.shape:
            shapes = f"{tuple(target.shape)} in the source, {tuple(tensor.shape)} in the bindings"
            reshaped.append(f"{path} (shape {shapes})")
        if isinstance(target, nn.Parameter):
            tensor = nn.Parameter(tensor, requires_grad=target.requires_grad)
        setattr(module.get_submodule(owner), name, tensor)
    return [*missing, *unexpected, *reshaped]


def _owned(array: Array, original: Array | None) -> Tensor:
    """Convert an array to a tensor, with a copy only if it shares memory with the original or is read-only."""
    shared = original is not None and np.may_share_memory(array, original)
    return torch.tensor(array) if shared or not array.flags.writeable else torch.from_numpy(array)


def _tensors(arrays: Iterable[Array]) -> list[Tensor]:
    """Copy arrays to tensors: an output can be an input itself, and must not be the caller's memory."""
    return [torch.tensor(array) for array in arrays]


def _arrays(tensors: Iterable[Tensor]) -> list[Array]:
    return [t.detach().contiguous().numpy() for t in tensors]
