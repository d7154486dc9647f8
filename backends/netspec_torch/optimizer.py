"""The update rules of `netspec.training.update` on tensors, each computed exactly by a fused kernel of PyTorch.

There is no kernel for SGD with the learning rate inside the velocity, v ← μ·v − η·(g + λ·w); w ← w + v. But PyTorch's
kernel computes it with b = −v, a learning rate of 1 and a dampening of 1 − η: b ← μ·b + η·(g + λ·w); w ← w − b. With
Nesterov momentum the kernel takes no dampening; there, η scales the gradient and λ instead:
b ← μ·b + η·g + η·λ·w; w ← w − (η·g + η·λ·w + μ·b). So the stored velocity is the one in the definition, whatever the
learning rate, and a checkpoint restores it bit for bit.

The kernels are called through the functional interface of `torch.optim`. Its classes take as long to import as the rest
of PyTorch, and would duplicate the state kept here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from netspec.recipe import Adam, AdamW, DiagonalLevenbergMarquardt, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import CURVATURE, FIRST_MOMENT, SECOND_MOMENT, VELOCITY

Slots = dict[str, dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Group:
    """The weights that share one learning rate and one decay.

    Attributes:
        names: canonical names of the weights.
        weights: the weights, which are updated in place.
        slots: the optimizer's tensors for the weights, by slot, with the sign that the kernel uses.
        lr_scale, decay_scale: the recipe's factors for them.
    """

    names: tuple[str, ...]
    weights: list[Tensor]
    slots: dict[str, list[Tensor]]
    lr_scale: float
    decay_scale: float


class Optimizer(ABC):
    """Updates weights in place from their gradients.

    Attributes:
        keeps: the names of its slots in a training state.
        updates: the number of steps taken.
    """

    sign: ClassVar[float] = 1.0  # the kernel's slots are the canonical ones times this

    def __init__(self, recipe: Recipe, weights: Mapping[str, Tensor]) -> None:
        self.updates = 0
        self.keeps = recipe.optimizer.slots
        self._decay = recipe.optimizer.weight_decay
        members: dict[tuple[float, float], list[str]] = {}
        for name in weights:
            scales = recipe.override_of(name)
            members.setdefault((scales.lr_scale, scales.decay_scale), []).append(name)
        self._groups = [self._group(names, weights, *scales) for scales, names in members.items()]

    def _group(self, names: list[str], weights: Mapping[str, Tensor], lr_scale: float, decay_scale: float) -> Group:
        members = [weights[name].detach() for name in names]
        slots = {slot: [torch.zeros_like(weight) for weight in members] for slot in self.keeps}
        return Group(tuple(names), members, slots, lr_scale, decay_scale)

    def step(self, gradients: Mapping[str, Tensor], rate: float) -> None:
        """Update all weights at the schedule's learning rate; may overwrite the gradients."""
        self.updates += 1
        for group in self._groups:
            members = [gradients[name] for name in group.names]
            self._update(group, members, rate * group.lr_scale, self._decay * group.decay_scale)

    @abstractmethod
    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        """Update the weights and the slots of a group."""

    def slots(self) -> Slots:
        """The slots by name and weight, in canonical sign; without a change of sign they are not copies."""
        return {
            slot: {
                name: -tensor if self.sign < 0 else tensor
                for group in self._groups
                for name, tensor in zip(group.names, group.slots[slot], strict=True)
            }
            for slot in self.keeps
        }

    def restore(self, slots: Mapping[str, Mapping[str, Tensor]], updates: int) -> None:
        """Restore slots in canonical sign; missing ones become zero."""
        self.updates = updates
        for group in self._groups:
            for slot, tensors in group.slots.items():
                for name, tensor in zip(group.names, tensors, strict=True):
                    saved = slots.get(slot, {}).get(name)
                    tensor.zero_() if saved is None else tensor.copy_(saved if self.sign > 0 else -saved)


class TorchSgd(Optimizer):
    """SGD with the learning rate outside the velocity, as in PyTorch; also SGD without momentum in either form."""

    def __init__(self, recipe: Recipe, rule: Sgd, weights: Mapping[str, Tensor]) -> None:
        self._rule = rule
        super().__init__(recipe, weights)

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        self._call(group, gradients, rate, decay, dampening=0.0)

    def _call(self, group: Group, gradients: list[Tensor], rate: float, decay: float, dampening: float) -> None:
        sgd(
            group.weights,
            gradients,
            [*group.slots[VELOCITY]] if self.keeps else [None] * len(gradients),
            fused=True,
            lr=rate,
            momentum=self._rule.momentum,
            dampening=dampening,
            nesterov=self._rule.nesterov,
            weight_decay=decay,
            maximize=False,
        )


# The kernel computes 1 - (1 - η), whose relative error is 1e-16 / η. Smaller rates scale the gradient instead.
EXACT_DAMPENING = 1e-3


class PaperSgd(TorchSgd):
    """SGD with the learning rate inside the velocity; the kernel's buffer is the negative of the velocity."""

    sign = -1.0

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        if self._rule.nesterov or rate < EXACT_DAMPENING:
            torch._foreach_mul_(gradients, rate)
            self._call(group, gradients, 1.0, rate * decay, dampening=0.0)
        else:
            self._call(group, gradients, 1.0, decay, dampening=1.0 - rate)


class Adaptive(Optimizer):
    """Adam and AdamW, with epsilon added to the root of the bias-corrected second moment, as in PyTorch."""

    def __init__(self, recipe: Recipe, rule: Adam | AdamW, weights: Mapping[str, Tensor]) -> None:
        self._rule = rule
        self._steps = {name: torch.zeros((), dtype=torch.float32, device=w.device) for name, w in weights.items()}
        super().__init__(recipe, weights)

    def restore(self, slots: Mapping[str, Mapping[str, Tensor]], updates: int) -> None:
        """Restore slots, and the step counts of the bias corrections."""
        super().restore(slots, updates)
        for steps in self._steps.values():
            steps.fill_(updates)

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        kernel = adamw if isinstance(self._rule, AdamW) else adam
        kernel(
            group.weights,
            gradients,
            group.slots[FIRST_MOMENT],
            group.slots[SECOND_MOMENT],
            [],
            [self._steps[name] for name in group.names],  # incremented by the kernel
            fused=True,
            amsgrad=False,
            lr=rate,
            beta1=self._rule.beta1,
            beta2=self._rule.beta2,
            weight_decay=decay,
            eps=self._rule.epsilon,
            maximize=False,
        )


class TorchRmsProp(Optimizer):
    """RMSProp in both forms, by foreach operations on a group: PyTorch's kernel never has epsilon inside the root."""

    def __init__(self, recipe: Recipe, rule: RmsProp, weights: Mapping[str, Tensor]) -> None:
        self._rule = rule
        super().__init__(recipe, weights)

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        rule, squares = self._rule, group.slots[SECOND_MOMENT]
        if decay:
            torch._foreach_add_(gradients, group.weights, alpha=decay)
        torch._foreach_mul_(squares, rule.rho)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - rule.rho)
        if rule.form == "tensorflow":
            roots = torch._foreach_add(squares, rule.epsilon)
            torch._foreach_sqrt_(roots)
            scale, descent = rate, 1.0
        else:
            roots = torch._foreach_sqrt(squares)
            torch._foreach_add_(roots, rule.epsilon)
            scale, descent = 1.0, rate
        if not rule.momentum:
            torch._foreach_addcdiv_(group.weights, gradients, roots, value=-rate)
            return
        velocities = group.slots[VELOCITY]
        torch._foreach_mul_(velocities, rule.momentum)
        torch._foreach_addcdiv_(velocities, gradients, roots, value=scale)
        torch._foreach_add_(group.weights, velocities, alpha=-descent)


class TorchLevenbergMarquardt(Optimizer):
    """Each weight has its own rate, by a curvature that is restored, and only read here."""

    def __init__(self, recipe: Recipe, rule: DiagonalLevenbergMarquardt, weights: Mapping[str, Tensor]) -> None:
        self._rule = rule
        super().__init__(recipe, weights)

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        if decay:
            torch._foreach_add_(gradients, group.weights, alpha=decay)
        divisors = torch._foreach_add(group.slots[CURVATURE], self._rule.damping)
        torch._foreach_addcdiv_(group.weights, gradients, divisors, value=-rate)


def make_optimizer(recipe: Recipe, weights: Mapping[str, Tensor]) -> Optimizer:
    """The recipe's optimizer of weights by canonical name, with zero slots."""
    rule = recipe.optimizer
    if isinstance(rule, RmsProp):
        return TorchRmsProp(recipe, rule, weights)
    if isinstance(rule, DiagonalLevenbergMarquardt):
        return TorchLevenbergMarquardt(recipe, rule, weights)
    if not isinstance(rule, Sgd):
        return Adaptive(recipe, rule, weights)
    return (PaperSgd if rule.form == "paper" and rule.momentum else TorchSgd)(recipe, rule, weights)


def clip(gradients: list[Tensor], limit: float, norm: Tensor) -> None:
    """Multiply all gradients in place by min(1, limit / norm), where `norm` is their joint L2 norm.

    `torch.nn.utils.clip_grad_norm_` adds 1e-6 to the divisor.
    """
    torch._foreach_mul_(gradients, (limit / norm).clamp(max=1.0))
