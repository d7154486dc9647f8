"""The update rules of `netspec.training.update` on tensors, each by the fused kernel that can be made exactly it.

Of sgd with the rate inside the velocity there is no kernel, but with b = −v, a rate of 1 and a dampening of 1 − η
PyTorch's is it: b ← μ·b + η·(g + λ·w); w ← w − b. With Nesterov's look ahead it takes no dampening; there η is put
into what it reads, g ← η·g and λ ← η·λ: b ← μ·b + η·g + η·λ·w; w ← w − (η·g + η·λ·w + μ·b). So the velocity is kept as
it is defined, whatever the rate does, and comes back from a checkpoint to the bit.

What is called are the functions beneath `torch.optim`, which are as public: its classes take as long to import as
PyTorch does, and would keep a second copy of what is kept here.
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

from netspec.recipe import Adam, AdamW, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import FIRST_MOMENT, SECOND_MOMENT, VELOCITY

Slots = dict[str, dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that are updated at one rate with one decay.

    Attributes:
        names: canonical.
        weights: updated in place.
        slots: what the optimizer keeps for each of the weights, by slot, in the kernel's sign.
        lr_scale, decay_scale: the recipe's override for them.
    """

    names: tuple[str, ...]
    weights: list[Tensor]
    slots: dict[str, list[Tensor]]
    lr_scale: float
    decay_scale: float


class Optimizer(ABC):
    """Updates weights in place from their gradients.

    Attributes:
        keeps: the names of its slots, as a training state has them.
        updates: steps taken.
    """

    sign: ClassVar[float] = 1.0  # of the kernel's slots against the canonical ones

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
        """One update of all weights at the schedule's rate; the gradients may be used up."""
        self.updates += 1
        for group in self._groups:
            own = [gradients[name] for name in group.names]
            self._update(group, own, rate * group.lr_scale, self._decay * group.decay_scale)

    @abstractmethod
    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        """Update the weights and the slots of a group."""

    def slots(self) -> Slots:
        """What is kept, in the canonical sign, by slot and weight: not copies where the sign is the kernel's."""
        return {
            slot: {
                name: -tensor if self.sign < 0 else tensor
                for group in self._groups
                for name, tensor in zip(group.names, group.slots[slot], strict=True)
            }
            for slot in self.keeps
        }

    def restore(self, slots: Mapping[str, Mapping[str, Tensor]], updates: int) -> None:
        """Take over canonical slots; those that are not there are zero."""
        self.updates = updates
        for group in self._groups:
            for slot, tensors in group.slots.items():
                for name, tensor in zip(group.names, tensors, strict=True):
                    given = slots.get(slot, {}).get(name)
                    tensor.zero_() if given is None else tensor.copy_(given if self.sign > 0 else -given)


class TorchSgd(Optimizer):
    """The rate outside the velocity: PyTorch's own rule. Without momentum the two forms are one, and this is it."""

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


# The kernel has 1 - (1 - η), which is η to within 1e-16 / η of it: a smaller rate goes as Nesterov's.
EXACT_DAMPENING = 1e-3


class PaperSgd(TorchSgd):
    """The rate inside the velocity, whose negative the kernel holds."""

    sign = -1.0

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        if self._rule.nesterov or rate < EXACT_DAMPENING:
            torch._foreach_mul_(gradients, rate)
            self._call(group, gradients, 1.0, rate * decay, dampening=0.0)
        else:
            self._call(group, gradients, 1.0, decay, dampening=1.0 - rate)


class Adaptive(Optimizer):
    """Adam and AdamW, as PyTorch has them: epsilon outside the root, added after the correction of its argument."""

    def __init__(self, recipe: Recipe, rule: Adam | AdamW, weights: Mapping[str, Tensor]) -> None:
        self._rule = rule
        self._taken = {name: torch.zeros((), dtype=torch.float32, device=w.device) for name, w in weights.items()}
        super().__init__(recipe, weights)

    def restore(self, slots: Mapping[str, Mapping[str, Tensor]], updates: int) -> None:
        """Take over canonical slots, and how many updates the corrections are to count."""
        super().restore(slots, updates)
        for taken in self._taken.values():
            taken.fill_(updates)

    def _update(self, group: Group, gradients: list[Tensor], rate: float, decay: float) -> None:
        kernel = adamw if isinstance(self._rule, AdamW) else adam
        kernel(
            group.weights,
            gradients,
            group.slots[FIRST_MOMENT],
            group.slots[SECOND_MOMENT],
            [],
            [self._taken[name] for name in group.names],  # the kernel counts them on
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
    """RMSProp in both forms, by operations over all tensors of a group at once: no kernel has epsilon in the root."""

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


def make_optimizer(recipe: Recipe, weights: Mapping[str, Tensor]) -> Optimizer:
    """The recipe's optimizer over weights by canonical name, its slots zero."""
    rule = recipe.optimizer
    if isinstance(rule, RmsProp):
        return TorchRmsProp(recipe, rule, weights)
    if not isinstance(rule, Sgd):
        return Adaptive(recipe, rule, weights)
    return (PaperSgd if rule.form == "paper" and rule.momentum else TorchSgd)(recipe, rule, weights)


def clip(gradients: list[Tensor], norm: float, found: Tensor) -> None:
    """Scale all gradients, in place, so that their joint L2 norm, `found`, is at most `norm`: by min(1, norm / found).

    `torch.nn.utils.clip_grad_norm_` adds 1e-6 to what it divides by.
    """
    torch._foreach_mul_(gradients, (norm / found).clamp(max=1.0))
