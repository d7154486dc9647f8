"""Augmentation policies: which operations are applied to an image, and with which arguments.

Magnitudes from 0 to 10 are mapped to the ranges of AutoAugment's table 6. The exception is the range of `translate`,
which is a number of pixels there (150, and 100 in RandAugment's code) whatever the size of the image: here it is a
share of the side, 0.45 as in timm. Arguments that are whole numbers, bits and thresholds, are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from netspec.recipe import Augmentation, AutoAugment, RandAugment
from netspec.training.data.augment.streams import stream_of_each

Drawn = Literal[
    "identity", "auto_contrast", "equalize", "rotate", "solarize", "color", "posterize",
    "contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
]  # fmt: skip
Operation = Drawn | Literal["invert"]
DRAWN: Final[tuple[Drawn, ...]] = get_args(Drawn)  # the operations of RandAugment, in the order of its figure 2
GREATEST: Final = 10.0  # the greatest magnitude


class Step(NamedTuple):
    """An operation to apply, and its argument in the units of the operation; 0 if it takes none."""

    operation: Operation
    argument: float


Pick = tuple[Operation, float, int]  # in a table of sub-policies: (operation, probability, magnitude)

# Cubuk et al. 2019, table 9, in its order; some sub-policies occur twice.
IMAGENET: Final[tuple[tuple[Pick, Pick], ...]] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
TABLES: Final = {"imagenet": IMAGENET}


@dataclass(frozen=True, slots=True)
class Changes:
    """The random choices of a policy for n images.

    Attributes:
        policy: the recipe's settings.
        chances: uniform numbers in [0, 1) that determine, for each operation in turn, which one it is, whether it is
            applied, and in which direction. Shape: (n, operations, 3).
        strays: from N(0, 1), the deviation of each magnitude in units of `magnitude_std`. Shape: (n, operations).
    """

    policy: RandAugment | AutoAugment
    chances: NDArray[np.float64]
    strays: NDArray[np.float64]

    def steps(self, row: int) -> tuple[Step, ...]:
        """Return the operations for an image, in the order in which they are applied."""
        chances = self.chances[row].tolist()
        if isinstance(self.policy, RandAugment):
            return _rand_augment_steps(self.policy, chances, self.strays[row].tolist())
        table = TABLES[self.policy.policy]
        picks = table[int(chances[0][0] * len(table))]
        return tuple(
            Step(operation, table_argument(operation, magnitude, _sign(direction)))
            for (operation, probability, magnitude), (_, whether, direction) in zip(picks, chances, strict=True)
            if whether < probability
        )


def _rand_augment_steps(policy: RandAugment, chances: list[list[float]], strays: list[float]) -> tuple[Step, ...]:
    steps = []
    for (which, whether, direction), stray in zip(chances, strays, strict=True):
        operation = DRAWN[int(which * len(DRAWN))]
        magnitude = min(max(policy.magnitude + policy.magnitude_std * stray, 0.0), GREATEST)
        if whether < policy.probability and operation != "identity":
            steps.append(Step(operation, argument_of(operation, magnitude, _sign(direction))))
    return tuple(steps)


def _sign(direction: float) -> int:
    return 1 if direction < 0.5 else -1


def draw_changes(seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation) -> Changes | None:
    """Draw the choices of a recipe's policy for samples in an epoch. Returns None if the recipe has no policy."""
    policy = augmentation.policy
    if policy is None:
        return None
    operations = policy.operations if isinstance(policy, RandAugment) else 2
    chances, strays = np.empty((len(indices), operations, 3)), np.empty((len(indices), operations))
    for row, random in enumerate(stream_of_each(seed, "policy", epoch, indices)):
        random.random(out=chances[row])
        random.standard_normal(out=strays[row])
    return Changes(policy, chances, strays)


def argument_of(operation: Operation, magnitude: float, sign: int) -> float:
    """Return the argument of an operation in RandAugment, where magnitude 0 changes nothing.

    Args:
        operation: its name.
        magnitude: from 0 to 10.
        sign: the direction, 1 or -1.
    """
    share = magnitude / GREATEST
    match operation:
        case "rotate":
            return sign * 30 * share
        case "shear_x" | "shear_y":
            return sign * 0.3 * share
        case "translate_x" | "translate_y":
            return sign * 0.45 * share
        case "solarize":
            return 256 - round(256 * share)
        case "posterize":
            return 8 - round(4 * share)
        case "color" | "contrast" | "brightness" | "sharpness":
            return 1 + sign * 0.9 * share
        case _:
            return 0.0


def table_argument(operation: Operation, magnitude: float, sign: int) -> float:
    """Return the argument of an operation in AutoAugment, where the magnitude is a position in the range of table 6.

    Magnitude 0 does not mean "no change" here: `color` at 0 is the factor 0.1, almost gray.

    Args:
        operation: its name.
        magnitude: from 0 to 10.
        sign: the direction, 1 or -1, for operations that have one.
    """
    share = magnitude / GREATEST
    match operation:
        case "solarize":
            return round(256 * share)
        case "posterize":
            return 4 + round(4 * share)
        case "color" | "contrast" | "brightness" | "sharpness":
            return 0.1 + 1.8 * share
        case _:
            return argument_of(operation, magnitude, sign)
