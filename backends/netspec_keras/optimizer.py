"""The update rules of `netspec.training.update` on variables, computed by fused kernels of TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from netspec.recipe import Adam, AdamW, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import FIRST_MOMENT, SECOND_MOMENT, VELOCITY

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Optimizer:
    """Updates weights in place from their gradients.

    The numbers that change from step to step are an argument, so that all steps share one traced function.

    Attributes:
        variables: the trainable weights by canonical name, in native layout.
        slots: the optimizer's variables by slot and weight, in native layout, initially zero.
        averages: the running averages by weight, initially the weights; empty if the recipe has none.
    """

    def __init__(self, recipe: Recipe, variables: Mapping[str, tf.Variable]) -> None:
        self._recipe = recipe
        self.variables = dict(variables)
        self.slots = {
            slot: {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in variables.items()}
            for slot in recipe.optimizer.slots
        }
        averaged = variables.items() if recipe.weight_average else ()
        self.averages = {name: tf.Variable(v, trainable=False) for name, v in averaged}

    def numbers(self, rate: float, updates: int) -> NDArray[np.float64]:
        """The numbers of the step after `updates` steps.

        They are the learning rate; for Adam, the factor of the bias corrections, and epsilon; and for a running
        average, the weight of the new iterate. TensorFlow adds epsilon to the root of the uncorrected second moment,
        so the recipe's ε becomes ε · √(1 − β2^t).
        """
        average = self._recipe.weight_average
        share = [average.share(updates + 1)] if average else []
        return np.array([rate, *self._corrections(updates), *share])

    def _corrections(self, updates: int) -> tuple[float, ...]:
        rule = self._recipe.optimizer
        if isinstance(rule, Sgd | RmsProp):
            return ()
        # The kernel computes with β in the weights' dtype, so the corrections do too.
        beta1, beta2 = (self._rounded(beta) ** (updates + 1) for beta in (rule.beta1, rule.beta2))
        root = math.sqrt(1 - beta2)
        return root / (1 - beta1), rule.epsilon * root

    def apply(self, gradients: Sequence[tf.Tensor], numbers: tf.Tensor) -> None:
        """Update weights, slots and averages; called in a traced function.

        Args:
            gradients: the gradients, in the order of `variables`.
            numbers: the result of `numbers` for this step, in float64.
        """
        rule = self._recipe.optimizer
        gradients = _clipped(gradients, self._recipe.clip_gradient_norm)
        for (name, variable), gradient in zip(self.variables.items(), gradients, strict=True):
            scales = self._recipe.override_of(name)
            eta, decay = numbers[0] * scales.lr_scale, rule.weight_decay * scales.decay_scale
            slots = {slot: variables[name] for slot, variables in self.slots.items()}
            if isinstance(rule, Sgd):
                _sgd(rule, variable, gradient, slots, eta, decay)
            elif isinstance(rule, RmsProp):
                _rmsprop(rule, variable, gradient, slots, eta, decay)
            else:
                _adam(rule, variable, gradient, slots, eta, decay, numbers[1:3])
            if name in self.averages:
                share = tf.cast(numbers[-1], variable.dtype)
                self.averages[name].assign_add(share * (variable - self.averages[name]))

    def _rounded(self, number: float) -> float:
        dtype = next(iter(self.variables.values())).dtype.as_numpy_dtype
        return float(dtype(number))


def _clipped(gradients: Sequence[tf.Tensor], limit: float | None) -> Sequence[tf.Tensor]:
    """The gradients times min(1, limit / norm), where norm is their joint L2 norm."""
    if limit is None:
        return gradients
    norm = tf.sqrt(2 * tf.add_n([tf.cast(tf.nn.l2_loss(g), tf.float64) for g in gradients]))
    factor = tf.where(norm > limit, limit / norm, 1.0)
    return [g * tf.cast(factor, g.dtype) for g in gradients]


def _decayed(gradient: tf.Tensor, variable: tf.Variable, decay: float) -> tf.Tensor:
    return gradient + tf.constant(decay, variable.dtype) * variable if decay else gradient


def _sgd(
    rule: Sgd,
    variable: tf.Variable,
    gradient: tf.Tensor,
    slots: Mapping[str, tf.Variable],
    eta: tf.Tensor,
    decay: float,
) -> None:
    rate, descend = tf.cast(eta, variable.dtype), tf.raw_ops.ResourceApplyGradientDescent
    if not rule.momentum:
        descend(var=variable.handle, alpha=rate, delta=_decayed(gradient, variable, decay))
        return
    # The kernels are the two forms of the recipe: v ← μ·v − η·g; w ← w + v (paper), and v ← μ·v + g; w ← w − η·v.
    paper = rule.form == "paper"
    kernel = tf.raw_ops.ResourceApplyKerasMomentum if paper else tf.raw_ops.ResourceApplyMomentum
    if decay and not rule.nesterov:
        # Add the decay, divided by μ, to the velocity before the kernel multiplies it by μ: twice as fast as g + λ·w.
        step = (eta if paper else tf.constant(-1.0, tf.float64)) * (decay / rule.momentum)
        descend(var=slots[VELOCITY].handle, alpha=tf.cast(step, variable.dtype), delta=variable)
        decay = 0.0
    kernel(
        var=variable.handle,
        accum=slots[VELOCITY].handle,
        lr=rate,
        grad=_decayed(gradient, variable, decay),
        momentum=tf.constant(rule.momentum, variable.dtype),
        use_nesterov=rule.nesterov,
    )


def _adam(
    rule: Adam | AdamW,
    variable: tf.Variable,
    gradient: tf.Tensor,
    slots: Mapping[str, tf.Variable],
    eta: tf.Tensor,
    decay: float,
    corrections: tf.Tensor,
) -> None:
    if decay and isinstance(rule, AdamW):
        variable.assign_sub(tf.cast(eta * decay, variable.dtype) * variable)
        decay = 0.0
    zero = tf.zeros((), variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=slots[FIRST_MOMENT].handle,
        v=slots[SECOND_MOMENT].handle,
        beta1_power=zero,  # `lr` includes the corrections, computed in float64
        beta2_power=zero,
        lr=tf.cast(eta * corrections[0], variable.dtype),
        beta1=tf.constant(rule.beta1, variable.dtype),
        beta2=tf.constant(rule.beta2, variable.dtype),
        epsilon=tf.cast(corrections[1], variable.dtype),
        grad=_decayed(gradient, variable, decay),
    )


def _rmsprop(
    rule: RmsProp,
    variable: tf.Variable,
    gradient: tf.Tensor,
    slots: Mapping[str, tf.Variable],
    eta: tf.Tensor,
    decay: float,
) -> None:
    rate, gradient = tf.cast(eta, variable.dtype), _decayed(gradient, variable, decay)
    rho, momentum, epsilon = (tf.constant(number, variable.dtype) for number in (rule.rho, rule.momentum, rule.epsilon))
    if rule.form == "tensorflow" and rule.momentum:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=slots[SECOND_MOMENT].handle,
            mom=slots[VELOCITY].handle,
            lr=rate,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            grad=gradient,
        )
        return
    square = slots[SECOND_MOMENT].assign(rho * slots[SECOND_MOMENT] + (1 - rho) * tf.square(gradient))
    inside = rule.form == "tensorflow"
    step = gradient / (tf.sqrt(square + epsilon) if inside else tf.sqrt(square) + epsilon)
    if rule.momentum:  # only in PyTorch's form: above, TensorFlow's kernel has applied it
        step = slots[VELOCITY].assign(momentum * slots[VELOCITY] + step)
    variable.assign_sub(rate * step)
