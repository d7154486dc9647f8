"""The likely cause of a divergence in training, from the step at which it begins and what diverges."""

from __future__ import annotations

from collections.abc import Collection

from netspec.lowering.trainer import ITERATE
from netspec.ops import BatchNorm, Dropout, StochasticDepth
from netspec.recipe import RmsProp, Sgd, WeightOverride
from netspec.types import DType
from netspec.verify.training.case import DROP, EPOCH, TrainingCase
from netspec.verify.training.state import THE_LOSS, Subject

PARTIAL_BATCH = "the loss of a partial batch, divided by the samples of a whole one"
STATISTICS = "running statistics: the momentum the other way, or a biased variance for an unbiased one"
FORM = "the rate inside the velocity (paper) for one outside of it (torch), or the reverse: they part when it changes"
OVERRIDES = "the recipe's overrides: lr_scale or decay_scale of these weights"
CLIPPING = "clipping: before decay, and by the norm of all gradients together"
DECAY = "weight decay: inside the gradient (coupled) for outside of it (decoupled), or the reverse"
AHEAD = "nesterov: the look ahead left out or put in, or decay that the velocity does not have"
EPSILON = "epsilon: beside the corrected root, not beside the root as it is or under it; or decay of the other kind"
ROOT = "rmsprop: epsilon inside the root (tensorflow) for outside of it (torch), or the reverse; or rho, or momentum"
MOMENTUM = "momentum: a dampened first gradient; or a sign, or a rate, that the velocity as exported does not have"
MOMENTS = "the moments' betas, or their correction, which counts this step too"
AVERAGE = "the average of the weights: its form, its decay, how it begins, or weights of before the update"
PRECISION = "a precision below float32: TF32, bfloat16, or a sum that is not kept in float32"


def trap_of(case: TrainingCase, dtype: DType, step: int, failed: Collection[Subject], *, of_rule: bool) -> str:
    """What it usually is when these are the first subjects to differ.

    Args:
        case: what was trained.
        dtype: in which. In float32 nothing is compared of what differs in float64 already.
        step: counted from 0.
        failed: what differs after it.
        of_rule: whether from NumPy's update of the same gradients, and not from another backend's run.
    """
    recipe, weights = case.recipe, case.graph.weights
    if dtype is DType.FLOAT32:
        return PRECISION
    if THE_LOSS in failed:
        return PARTIAL_BATCH if step == EPOCH - 1 else _only_in_training(case)
    names = {subject.name for subject in failed}
    if not any(weights[name].trainable for name in names):
        return STATISTICS
    if step == DROP and isinstance(recipe.optimizer, Sgd | RmsProp):
        return FORM
    if step == 0:
        overrides = {name: recipe.override_of(name) for name, weight in weights.items() if weight.trainable}
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
    """What gradients in training depend on, and values at inference do not."""
    ops = {type(node.op) for node in case.graph.nodes}
    causes = ["dropout masks or their scale"] if {Dropout, StochasticDepth} & ops else []
    causes += ["batch statistics"] if BatchNorm in ops else []
    causes += ["auxiliary losses"] if case.graph.heads else []
    causes += ["label smoothing"] if case.recipe.loss.label_smoothing else []
    causes += ["shares of mixed labels"] if any(case.recipe.augmentation.mixes) else []
    causes += ["color shifts"] if case.normalization is not None else []
    return "what training alone does: " + ", ".join([*causes, "the loss and what it is divided by"])
