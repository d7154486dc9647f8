"""A recipe's update rule on TensorFlow's fused kernels: `netspec.training.update` says what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from netspec.recipe import Adam, AdamW, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import FIRST_MOMENT, SECOND_MOMENT, VELOCITY

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Optimizer:
    """The rule, its slots as variables beside the weights.

    What changes from step to step comes in as `numbers`, so that one traced function serves them all.

    Attributes:
        variables: the trainable weights by canonical name, in Keras' layout.
        slots: by slot and weight, in the weight's layout; zero at first.
        averages: where the recipe has them, by weight; the weights themselves at first.
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
        """The learning rate after `updates` steps; for Adam also what corrects it, and the epsilon that goes with it.

        Last, where weights are averaged, what the new ones count in it.
        TensorFlow has epsilon beside the root of s as it is, not as corrected: ε · √(1 − β2^t) there is ε here.
        """
        average = self._recipe.weight_average
        share = [average.share(updates + 1)] if average else []
        return np.array([rate, *self._corrections(updates), *share])

    def _corrections(self, updates: int) -> tuple[float, ...]:
        rule = self._recipe.optimizer
        if isinstance(rule, Sgd | RmsProp):
            return ()
        # The kernel takes 1 − β from β as it is in the weights' dtype: what corrects for it has to agree.
        beta1, beta2 = (self._rounded(beta) ** (updates + 1) for beta in (rule.beta1, rule.beta2))
        root = math.sqrt(1 - beta2)
        return root / (1 - beta1), rule.epsilon * root

    def apply(self, gradients: Sequence[tf.Tensor], numbers: tf.Tensor) -> None:
        """Update weights and slots. To be traced.

        Args:
            gradients: of each of `variables`, in their order.
            numbers: those of this step, float64.
        """
        rule = self._recipe.optimizer
        gradients = _clipped(gradients, self._recipe.clip_gradient_norm)
        for (name, variable), gradient in zip(self.variables.items(), gradients, strict=True):
            scales = self._recipe.override_of(name)
            eta, decay = numbers[0] * scales.lr_scale, rule.weight_decay * scales.decay_scale
            own = {slot: variables[name].handle for slot, variables in self.slots.items()}
            if isinstance(rule, Sgd):
                _sgd(rule, variable, gradient, own, eta, decay)
            elif isinstance(rule, RmsProp):
                slots = {slot: variables[name] for slot, variables in self.slots.items()}
                _rmsprop(rule, variable, gradient, slots, eta, decay)
            else:
                _adam(rule, variable, gradient, own, eta, decay, numbers[1:3])
            if name in self.averages:
                share = tf.cast(numbers[-1], variable.dtype)
                self.averages[name].assign_add(share * (variable - self.averages[name]))

    def _rounded(self, number: float) -> float:
        dtype = next(iter(self.variables.values())).dtype.as_numpy_dtype
        return float(dtype(number))


def _clipped(gradients: Sequence[tf.Tensor], norm: float | None) -> Sequence[tf.Tensor]:
    if norm is None:
        return gradients
    found = tf.sqrt(2 * tf.add_n([tf.cast(tf.nn.l2_loss(g), tf.float64) for g in gradients]))
    factor = tf.where(found > norm, norm / found, 1.0)
    return [g * tf.cast(factor, g.dtype) for g in gradients]


def _decayed(gradient: tf.Tensor, variable: tf.Variable, decay: float) -> tf.Tensor:
    return gradient + tf.constant(decay, variable.dtype) * variable if decay else gradient


def _sgd(
    rule: Sgd, variable: tf.Variable, gradient: tf.Tensor, own: Mapping[str, Any], eta: tf.Tensor, decay: float
) -> None:
    rate, descend = tf.cast(eta, variable.dtype), tf.raw_ops.ResourceApplyGradientDescent
    if not rule.momentum:
        descend(var=variable.handle, alpha=rate, delta=_decayed(gradient, variable, decay))
        return
    # Keras' kernel is v ← μ·v − η·g; w ← w + v, the other is v ← μ·v + g; w ← w − η·v: the recipe's two forms.
    paper = rule.form == "paper"
    kernel = tf.raw_ops.ResourceApplyKerasMomentum if paper else tf.raw_ops.ResourceApplyMomentum
    if decay and not rule.nesterov:
        # Into the velocity, ahead of the momentum that it is then multiplied by: half the time of g + λ·w.
        ahead = (eta if paper else tf.constant(-1.0, tf.float64)) * (decay / rule.momentum)
        descend(var=own[VELOCITY], alpha=tf.cast(ahead, variable.dtype), delta=variable)
        decay = 0.0
    kernel(
        var=variable.handle,
        accum=own[VELOCITY],
        lr=rate,
        grad=_decayed(gradient, variable, decay),
        momentum=tf.constant(rule.momentum, variable.dtype),
        use_nesterov=rule.nesterov,
    )


def _adam(
    rule: Adam | AdamW,
    variable: tf.Variable,
    gradient: tf.Tensor,
    own: Mapping[str, Any],
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
        m=own[FIRST_MOMENT],
        v=own[SECOND_MOMENT],
        beta1_power=zero,  # the rate is corrected already, in float64
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
    own: Mapping[str, tf.Variable],
    eta: tf.Tensor,
    decay: float,
) -> None:
    rate, gradient = tf.cast(eta, variable.dtype), _decayed(gradient, variable, decay)
    rho, momentum, epsilon = (tf.constant(each, variable.dtype) for each in (rule.rho, rule.momentum, rule.epsilon))
    if rule.form == "tensorflow" and rule.momentum:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=own[SECOND_MOMENT].handle,
            mom=own[VELOCITY].handle,
            lr=rate,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            grad=gradient,
        )
        return
    square = own[SECOND_MOMENT].assign(rho * own[SECOND_MOMENT] + (1 - rho) * tf.square(gradient))
    inside = rule.form == "tensorflow"
    step = gradient / (tf.sqrt(square + epsilon) if inside else tf.sqrt(square) + epsilon)
    if rule.momentum:  # in TensorFlow's form by the kernel
        step = own[VELOCITY].assign(momentum * own[VELOCITY] + step)
    variable.assign_sub(rate * step)
