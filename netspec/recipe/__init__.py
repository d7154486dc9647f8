"""`training:`, the recipe: how a network was, or is to be, trained. Validated here, run by `netspec train`.

Units: learning rates are for one optimizer step; a span of time is counted in optimizer steps or in epochs.
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
from netspec.recipe.optimizer import Adam, AdamW, Optimizer, RmsProp, Sgd, WeightAverage, WeightOverride
from netspec.recipe.recipe import PixelWeights, Recipe, SoftmaxCrossEntropy
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
    "Augmentation",
    "AutoAugment",
    "ColorNoise",
    "ConstantSchedule",
    "CosineSchedule",
    "CutMix",
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
