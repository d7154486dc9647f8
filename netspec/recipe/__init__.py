"""The training recipe, `training:` in a spec. It is validated here and run by `netspec train`.

Units: learning rates are per optimizer step; lengths of training are in optimizer steps or in epochs.
"""

from netspec.recipe.augmentation import (
    Augmentation,
    AutoAugment,
    ColorNoise,
    CutMix,
    ElasticDeformation,
    Evaluation,
    Mixup,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
)
from netspec.recipe.optimizer import (
    Adam,
    AdamW,
    DiagonalLevenbergMarquardt,
    Optimizer,
    RmsProp,
    Sgd,
    WeightAverage,
    WeightOverride,
)
from netspec.recipe.recipe import Adversarial, PixelWeights, Recipe, SoftmaxCrossEntropy
from netspec.recipe.schedule import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    MultistepSchedule,
    PlateauSchedule,
    PolynomialSchedule,
    Schedule,
    Span,
    StepSchedule,
    Warmup,
)

__all__ = [
    "Adam",
    "AdamW",
    "Adversarial",
    "Augmentation",
    "AutoAugment",
    "ColorNoise",
    "ConstantSchedule",
    "CosineSchedule",
    "CutMix",
    "DiagonalLevenbergMarquardt",
    "ElasticDeformation",
    "Evaluation",
    "ExponentialSchedule",
    "Mixup",
    "MultistepSchedule",
    "Optimizer",
    "PixelWeights",
    "PlateauSchedule",
    "PolynomialSchedule",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Recipe",
    "RmsProp",
    "Schedule",
    "Sgd",
    "SoftmaxCrossEntropy",
    "Span",
    "StepSchedule",
    "Warmup",
    "WeightAverage",
    "WeightOverride",
]
