"""The update rules of the optimizers in NumPy: the reference that every trainer is checked against.

For a weight w, g is its gradient, averaged over the samples of the step and then clipped; η is the learning rate times
the weight's `lr_scale`; λ is the weight decay times its `decay_scale`; μ is the momentum:

    sgd           g ← g + λ·w
      paper         v ← μ·v − η·g;   w ← w + v              nesterov: w ← w + μ·v − η·g
      torch         v ← μ·v + g;     w ← w − η·v            nesterov: w ← w − η·(g + μ·v)
    adam          g ← g + λ·w;  m ← β1·m + (1−β1)·g;  s ← β2·s + (1−β2)·g²;  with t updates, this one included,
                  w ← w − η · (m / (1−β1^t)) / (√(s / (1−β2^t)) + ε)
    adamw         w ← w − η·λ·w, then adam's step with g left without decay
    rmsprop       g ← g + λ·w;  s ← ρ·s + (1−ρ)·g²
      tensorflow    v ← μ·v + η·g / √(s + ε);  w ← w − v
      torch         v ← μ·v + g / (√s + ε);    w ← w − η·v
    diagonal_levenberg_marquardt
                  g ← g + λ·w;  w ← w − η / (damping + h) · g, where h is the slot `curvature`, which it only reads:
                  `netspec.training.curvature` sets it before each epoch

If the recipe averages the weights, the rules above update the slot `iterate` as w, and the weight itself is the
average a:

    a ← d·a + (1−d)·w,  with t updates since the average's start; d = 0 before it
      exponential   d = min(decay, (1 + t) / (10 + t))
      uniform       d = t / (t + 1)

Clipping precedes decay and uses the joint norm of all trainable weights' gradients: g ← g · min(1, c / ‖g‖).
Sources: Krizhevsky et al. 2012, section 5; Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2;
Tieleman & Hinton 2012, lecture 6e, as TensorFlow's ApplyRMSProp and torch.optim.RMSprop have it;
Polyak & Juditsky 1992, the uniform average; LeCun et al. 1998, appendix C.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netspec.lowering import TrainingState
from netspec.lowering.trainer import ITERATE
from netspec.ops.base import Array, Weights
from netspec.recipe import Adam, AdamW, DiagonalLevenbergMarquardt, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import CURVATURE, FIRST_MOMENT, SECOND_MOMENT, VELOCITY

Slots = dict[str, Array]


def slot_names(recipe: Recipe) -> tuple[str, ...]:
    """The arrays kept for each trainable weight: the optimizer's slots, and `iterate` if the weights are averaged."""
    return (*recipe.optimizer.slots, *([ITERATE] if recipe.weight_average else []))


def update(recipe: Recipe, state: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The state after one optimizer step.

    Weights without a gradient do not change. A missing slot counts as zero, and a missing `iterate` as the weight.

    Args:
        recipe: the source of the optimizer, overrides, clipping and weight average.
        state: weights and slots before the step.
        gradients: the gradient of the mean loss for every trainable weight.
        rate: the learning rate of this step.
    """
    gradients = clip(gradients, recipe.clip_gradient_norm)
    weights, average = dict(state.weights), recipe.weight_average
    trained = state.trained
    slots: dict[str, dict[str, Array]] = {name: {} for name in slot_names(recipe)}
    for name, gradient in gradients.items():
        scales = recipe.override_of(name)
        eta, decay = rate * scales.lr_scale, recipe.optimizer.weight_decay * scales.decay_scale
        kept: Slots = {slot: state.slots.get(slot, {}).get(name, np.zeros_like(gradient)) for slot in slots}
        if isinstance(recipe.optimizer, Sgd):
            w, kept = _sgd(recipe.optimizer, trained[name], gradient, kept, eta, decay)
        elif isinstance(recipe.optimizer, RmsProp):
            w, kept = _rmsprop(recipe.optimizer, trained[name], gradient, kept, eta, decay)
        elif isinstance(recipe.optimizer, DiagonalLevenbergMarquardt):
            w = trained[name] - eta / (recipe.optimizer.damping + kept[CURVATURE]) * (gradient + decay * trained[name])
            kept = {CURVATURE: kept[CURVATURE]}
        else:
            w, kept = _adam(recipe.optimizer, trained[name], gradient, kept, eta, decay, state.updates + 1)
        if average:
            share, kept[ITERATE] = average.share(state.updates + 1), w
            w = weights[name] + share * (w - weights[name])
        weights[name] = w
        for slot, array in kept.items():
            slots[slot][name] = array
    return TrainingState(weights, slots, state.updates + 1)


def clip(gradients: Weights, norm: float | None) -> Weights:
    """The gradients, all scaled by one factor so that their joint L2 norm is at most `norm`."""
    if norm is None:
        return gradients
    joint = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values())))
    factor = min(1.0, norm / joint) if joint else 1.0
    return {name: g * factor for name, g in gradients.items()}


def _sgd(
    rule: Sgd, w: Array, gradient: Array, slots: Mapping[str, Array], eta: float, decay: float
) -> tuple[Array, Slots]:
    g = gradient + decay * w
    if not rule.momentum:
        return w - eta * g, {}
    v: Array
    if rule.form == "paper":
        v = rule.momentum * slots[VELOCITY] - eta * g
        return w + (rule.momentum * v - eta * g if rule.nesterov else v), {VELOCITY: v}
    v = rule.momentum * slots[VELOCITY] + g
    return w - eta * (g + rule.momentum * v if rule.nesterov else v), {VELOCITY: v}


def _adam(
    rule: Adam | AdamW, w: Array, gradient: Array, slots: Mapping[str, Array], eta: float, decay: float, t: int
) -> tuple[Array, Slots]:
    decoupled = isinstance(rule, AdamW)
    g = gradient if decoupled else gradient + decay * w
    m = rule.beta1 * slots[FIRST_MOMENT] + (1 - rule.beta1) * g
    s = rule.beta2 * slots[SECOND_MOMENT] + (1 - rule.beta2) * g**2
    step = (m / (1 - rule.beta1**t)) / (np.sqrt(s / (1 - rule.beta2**t)) + rule.epsilon)
    decayed = w - eta * decay * w if decoupled else w
    return decayed - eta * step, {FIRST_MOMENT: m, SECOND_MOMENT: s}


def _rmsprop(
    rule: RmsProp, w: Array, gradient: Array, slots: Mapping[str, Array], eta: float, decay: float
) -> tuple[Array, Slots]:
    g = gradient + decay * w
    s = rule.rho * slots[SECOND_MOMENT] + (1 - rule.rho) * g**2
    tensorflow = rule.form == "tensorflow"
    v = eta * g / np.sqrt(s + rule.epsilon) if tensorflow else g / (np.sqrt(s) + rule.epsilon)
    kept: Slots = {SECOND_MOMENT: s}
    if rule.momentum:
        v = kept[VELOCITY] = rule.momentum * slots[VELOCITY] + v
    return w - (v if tensorflow else eta * v), kept
