"""The likely cause of a divergence in training, inferred from its first step and the arrays that diverge."""

from __future__ import annotations

from collections.abc import Collection

from netspec.lowering.trainer import ITERATE
from netspec.ops import BatchNorm, Dropout, StochasticDepth
from netspec.recipe import RmsProp, Sgd, WeightOverride
from netspec.types import DType
from netspec.verify.training.case import DROP, EPOCH, TrainingCase
from netspec.verify.training.state import THE_LOSS, Subject

PARTIAL_BATCH = "the loss of a partial batch, divided by the samples of a whole one"
STATISTICS = "running statistics: the momentum the other way, or a biased variance instead of an unbiased one"
FORM = "the rate inside the velocity (paper) instead of outside (torch), or the reverse: they differ once it changes"
OVERRIDES = "the recipe's overrides: lr_scale, decay_scale or max_rms of these weights"
CLIPPING = "clipping: expected before decay, and by the joint norm of all gradients"
DECAY = "weight decay: inside the gradient (coupled) instead of outside (decoupled), or the reverse"
AHEAD = "nesterov: the look-ahead missing or added, or weight decay that is missing in the velocity"
EPSILON = (
    "epsilon: expected outside the root, after bias correction; or coupled decay instead of decoupled, or the reverse"
)
ROOT = "rmsprop: epsilon inside the root (tensorflow) instead of outside (torch), or the reverse; or rho, or momentum"
MOMENTUM = "momentum: dampening of the first gradient; or an exported velocity with another sign or another rate factor"
MOMENTS = "the betas of the moments, or their bias correction, which counts this step too"
AVERAGE = "the average of the weights: its form, its decay, its start, or weights from before the update"
PRECISION = "a precision below float32: TF32, bfloat16, or a sum that is not kept in float32"
ADVERSARIAL = (
    "something that only adversarial training does: the gradient in the discriminator's input, its scale, the mode in "
    "which it is taken, or running statistics that follow it"
)


def trap_of(case: TrainingCase, dtype: DType, step: int, failed: Collection[Subject], *, of_rule: bool) -> str:
    """The usual cause if these subjects are the first to differ.

    Args:
        case: the training.
        dtype: its dtype. A pair that differs in float64 already is not compared in float32.
        step: the step after which they differ, counted from 0.
        failed: the subjects that differ.
        of_rule: whether they differ from the NumPy update of the same gradients, rather than from another backend.
    """
    if dtype is DType.FLOAT32 or (case.opponent is not None and not of_rule):
        return PRECISION if dtype is DType.FLOAT32 else ADVERSARIAL
    names = {subject.name for subject in failed}
    recipe, weights = case.recipe_of(min(names)), case.all_weights
    if THE_LOSS in failed:
        return PARTIAL_BATCH if step == EPOCH - 1 else _only_in_training(case)
    if not any(weights[name].trainable for name in names):
        return STATISTICS
    if step == DROP and isinstance(recipe.optimizer, Sgd | RmsProp):
        return FORM
    if step == 0:
        overrides = {name: case.override_of(name) for name, weight in weights.items() if weight.trainable}
        plain = {name for name, override in overrides.items() if override == WeightOverride()}
        if plain and not plain & names:
            return OVERRIDES
        undecayed = {name for name, override in overrides.items() if not override.decay_scale}
        if undecayed and not undecayed & names:
            return DECAY
    if not of_rule:
        return _only_in_training(case)
    slots = {subject.slot for subject in failed} - {""}
    if recipe.weight_average and not slots:
        return AVERAGE
    if recipe.clip_gradient_norm is not None:
        return CLIPPING
    if isinstance(recipe.optimizer, RmsProp):
        return ROOT
    in_weights_alone = slots <= {ITERATE}
    if isinstance(recipe.optimizer, Sgd):
        return AHEAD if in_weights_alone else MOMENTUM
    return EPSILON if in_weights_alone else MOMENTS


def _only_in_training(case: TrainingCase) -> str:
    """The causes on which gradients in training depend, but outputs at inference do not."""
    ops = {type(node.op) for node in case.graph.nodes}
    causes = ["dropout masks or their scale"] if {Dropout, StochasticDepth} & ops else []
    causes += ["batch statistics"] if BatchNorm in ops else []
    causes += ["auxiliary losses"] if case.graph.heads else []
    causes += ["label smoothing"] if case.recipe.label_loss.label_smoothing else []
    causes += ["shares of mixed labels"] if any(case.recipe.augmentation.mixes) else []
    causes += ["color shifts"] if case.normalization is not None else []
    return "something that only training does: " + ", ".join([*causes, "the loss or its divisor"])
