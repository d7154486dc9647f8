"""The update rules of `netspec.training.update` on variables, computed by fused kernels of TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from netspec.recipe import Adam, AdamW, DiagonalLevenbergMarquardt, Recipe, RmsProp, Sgd
from netspec.recipe.optimizer import CURVATURE, FIRST_MOMENT, SECOND_MOMENT, VELOCITY

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
        if not isinstance(rule, Adam | AdamW):
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
        scalars = _Scalars(numbers, next(iter(self.variables.values())).dtype)
        for (name, variable), gradient in zip(self.variables.items(), gradients, strict=True):
            scales = self._recipe.override_of(name)
            slots = {slot: variables[name] for slot, variables in self.slots.items()}
            weight = _Weight(variable, gradient, slots, scales.lr_scale, rule.weight_decay * scales.decay_scale)
            if isinstance(rule, Sgd):
                _sgd(rule, weight, scalars)
            elif isinstance(rule, RmsProp):
                _rmsprop(rule, weight, scalars)
            elif isinstance(rule, DiagonalLevenbergMarquardt):
                _levenberg_marquardt(rule, weight, scalars)
            else:
                _adam(rule, weight, scalars)
            if name in self.averages:
                self.averages[name].assign_add(scalars.number(-1) * (variable - self.averages[name]))

    def _rounded(self, number: float) -> float:
        dtype = next(iter(self.variables.values())).dtype.as_numpy_dtype
        return float(dtype(number))


class _Scalars:
    """The scalars of a step in the dtype of the weights.

    Each is made once for all weights: to trace the few operations that make one takes longer than those of an update.
    """

    def __init__(self, numbers: tf.Tensor, dtype: tf.DType) -> None:
        self._numbers, self._dtype = tf.unstack(numbers), dtype
        self._made: dict[tuple[object, ...], tf.Tensor] = {}

    def constant(self, value: float) -> tf.Tensor:
        """A number of the recipe."""
        return self._once(("constant", value), lambda: tf.constant(value, self._dtype))

    def number(self, position: int) -> tf.Tensor:
        """One of the step's numbers."""
        return self._once(("number", position), lambda: tf.cast(self._numbers[position], self._dtype))

    def rate(self, scale: float, factor: float = 1.0) -> tf.Tensor:
        """The learning rate times the scale of a weight times a factor, computed in float64."""
        return self._once(("rate", scale, factor), lambda: tf.cast(self._numbers[0] * scale * factor, self._dtype))

    def corrected_rate(self, scale: float) -> tf.Tensor:
        """The learning rate times the scale of a weight times Adam's correction, computed in float64."""
        rate, correction, *_ = self._numbers
        return self._once(("corrected", scale), lambda: tf.cast(rate * scale * correction, self._dtype))

    def _once(self, key: tuple[object, ...], make: Callable[[], tf.Tensor]) -> tf.Tensor:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _clipped(gradients: Sequence[tf.Tensor], limit: float | None) -> Sequence[tf.Tensor]:
    """The gradients times min(1, limit / norm), where norm is their joint L2 norm."""
    if limit is None:
        return gradients
    norm = tf.sqrt(2 * tf.add_n([tf.cast(tf.nn.l2_loss(g), tf.float64) for g in gradients]))
    factor = tf.where(norm > limit, limit / norm, 1.0)
    return [g * tf.cast(factor, g.dtype) for g in gradients]


class _Weight(NamedTuple):
    """A weight that is updated.

    Attributes:
        variable, gradient: the weight and its gradient.
        slots: its variables of the optimizer, by slot.
        scale: the recipe's factor of the learning rate for it.
        decay: its weight decay.
    """

    variable: tf.Variable
    gradient: tf.Tensor
    slots: Mapping[str, tf.Variable]
    scale: float
    decay: float

    def decayed(self, scalars: _Scalars) -> tf.Tensor:
        """The gradient plus the weight times its decay."""
        return self.gradient + scalars.constant(self.decay) * self.variable if self.decay else self.gradient


def _sgd(rule: Sgd, weight: _Weight, scalars: _Scalars) -> None:
    variable = weight.variable
    rate, descend = scalars.rate(weight.scale), tf.raw_ops.ResourceApplyGradientDescent
    if not rule.momentum:
        descend(var=variable.handle, alpha=rate, delta=weight.decayed(scalars))
        return
    # The kernels are the two forms of the recipe: v ← μ·v − η·g; w ← w + v (paper), and v ← μ·v + g; w ← w − η·v.
    paper = rule.form == "paper"
    kernel = tf.raw_ops.ResourceApplyKerasMomentum if paper else tf.raw_ops.ResourceApplyMomentum
    if weight.decay and not rule.nesterov:
        # Add the decay, divided by μ, to the velocity before the kernel multiplies it by μ: twice as fast as g + λ·w.
        part = weight.decay / rule.momentum
        step = scalars.rate(weight.scale, part) if paper else scalars.constant(-part)
        descend(var=weight.slots[VELOCITY].handle, alpha=step, delta=variable)
        weight = weight._replace(decay=0.0)
    kernel(
        var=variable.handle,
        accum=weight.slots[VELOCITY].handle,
        lr=rate,
        grad=weight.decayed(scalars),
        momentum=scalars.constant(rule.momentum),
        use_nesterov=rule.nesterov,
    )


def _adam(rule: Adam | AdamW, weight: _Weight, scalars: _Scalars) -> None:
    if weight.decay and isinstance(rule, AdamW):
        weight.variable.assign_sub(scalars.rate(weight.scale, weight.decay) * weight.variable)
        weight = weight._replace(decay=0.0)
    zero = scalars.constant(0.0)
    tf.raw_ops.ResourceApplyAdam(
        var=weight.variable.handle,
        m=weight.slots[FIRST_MOMENT].handle,
        v=weight.slots[SECOND_MOMENT].handle,
        beta1_power=zero,  # `lr` includes the corrections, computed in float64
        beta2_power=zero,
        lr=scalars.corrected_rate(weight.scale),
        beta1=scalars.constant(rule.beta1),
        beta2=scalars.constant(rule.beta2),
        epsilon=scalars.number(2),
        grad=weight.decayed(scalars),
    )


def _rmsprop(rule: RmsProp, weight: _Weight, scalars: _Scalars) -> None:
    variable, slots = weight.variable, weight.slots
    rate, gradient = scalars.rate(weight.scale), weight.decayed(scalars)
    rho, momentum, epsilon = map(scalars.constant, (rule.rho, rule.momentum, rule.epsilon))
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


def _levenberg_marquardt(rule: DiagonalLevenbergMarquardt, weight: _Weight, scalars: _Scalars) -> None:
    divisor = weight.slots[CURVATURE] + scalars.constant(rule.damping)
    weight.variable.assign_sub(scalars.rate(weight.scale) * weight.decayed(scalars) / divisor)
