"""Augmentation of training images, and the views by which an image is evaluated."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt, Share, Size2d
from netspec.recipe.bounds import NonNegativeFloat, PositiveShare, require_rising

Magnitude = Annotated[float, Field(ge=0, le=10)]
Operations = Annotated[int, Field(ge=1, le=100)]  # per image; random numbers are drawn for each, so it is bounded

Views = Literal[1, 10]  # per evaluated image
ROUNDING = 1e-9  # tolerance for the sum of two probabilities


class ColorNoise(Attribute):
    """The paper's color shift: along each principal component of RGB by N(0, std) times its standard deviation."""

    std: PositiveFloat


class ColorJitter(Attribute):
    """Brightness, contrast and saturation of a crop, each times a random factor, in a random order.

    Each number s is the strength of its change: the factor is drawn uniformly from 1 - s to 1 + s; 0, the default,
    leaves it out. A factor extrapolates from an image without light, contrast or color (0) through the crop (1).

    Source: Howard 2013, Some Improvements on Deep Convolutional Neural Network Based Image Classification.
    """

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not any((self.brightness, self.contrast, self.saturation)):
            raise ValueError("`color_jitter` needs a strength above 0: `brightness`, `contrast` or `saturation`")
        return self


class _Bounds(Attribute):
    """An attribute whose pairs are bounds, the least first."""

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        for name, value in self:
            if isinstance(value, tuple):
                require_rising(name, value)
        return self


class RandomResizedCrop(_Bounds):
    """A random part of the image, resized to the network's input: scale and aspect ratio augmentation.

    `area` has the bounds of its share of the image's area, which is drawn uniformly. `aspect_ratio` has the bounds of
    its width over its height, whose logarithm is drawn uniformly from the ratios that fit into the image.

    Source: Szegedy et al. 2015, section 6, with the same bounds.
    """

    area: tuple[PositiveShare, PositiveShare] = Field((0.08, 1.0), strict=False)
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = Field((3 / 4, 4 / 3), strict=False)


class RandAugment(Attribute):
    """Random operations on the pixels of a crop, drawn uniformly for each image.

    They are the fourteen of the paper (figure 2 and section 3): identity, auto_contrast, equalize, rotate, solarize,
    color, posterize, contrast, brightness, sharpness, shear_x, shear_y, translate_x, translate_y. The authors' code
    (tensorflow/tpu, models/official/efficientnet) has invert, solarize_add and cutout in place of identity. timm, with
    which Swin and ConvNeXt were trained, has the first two of these, and its posterize keeps 4 to 0 bits.

    A magnitude of 0 leaves the image unchanged, and 10 is the end of AutoAugment's range: posterize keeps 8 to 4 bits,
    the threshold of solarize falls from 256 to 0, and factors differ from 1 by up to 0.9. Directions are random.
    Magnitudes above 10, which the paper uses for large networks, exceed its own scale and are refused.

    Attributes:
        operations: the number of operations applied to an image in sequence; one may be drawn more than once.
        magnitude: the magnitude of every operation.
        magnitude_std: the standard deviation of the magnitude, with which it is drawn for each operation from a normal
            distribution and clipped to 0 to 10. It is timm's, the second number of the (9, 0.5) of Swin and ConvNeXt.
        probability: the probability that a drawn operation is applied: 1 in the paper, 0.5 in timm.

    Source: Cubuk, Zoph, Shlens & Le 2020, RandAugment, section 3.
    """

    operations: Operations = 2
    magnitude: Magnitude = 9.0
    magnitude_std: NonNegativeFloat = 0.0
    probability: PositiveShare = 1.0


class AutoAugment(Attribute):
    """A pair of operations on the pixels of a crop, drawn uniformly from those of a policy for each image.

    `imagenet` is the policy of the paper's table 9, with the ranges of its table 6: posterize keeps 4 bits or more,
    solarize inverts pixels above a threshold, and both are weaker for larger magnitudes. As in the authors' code,
    magnitudes are tenths of a range, and directions are random. EfficientNet's code (tensorflow/tpu,
    models/official/efficientnet) has other pairs, v0, and keeps 0 to 4 bits; no paper describes them.

    Source: Cubuk, Zoph, Mane, Vasudevan & Le 2019, AutoAugment, tables 6 and 9.
    """

    policy: Literal["imagenet"]


class RandomErasing(_Bounds):
    """A random rectangle of a crop in which every value is replaced by a random one, from 0 to 255.

    `area` has the bounds of its share of the crop's area, which is drawn uniformly. `aspect_ratio` has the bounds of
    its width over its height, whose logarithm is drawn uniformly from the ratios that fit into the crop, as in timm,
    with which Swin and ConvNeXt were trained. The paper draws the ratio itself uniformly, so that most of its
    rectangles are elongated in the same direction.

    Source: Zhong, Zheng, Kang, Li & Yang 2020, Random Erasing, algorithm 1; the defaults are those of its experiments.
    """

    probability: PositiveShare = 0.5
    area: tuple[PositiveShare, PositiveShare] = Field((0.02, 0.4), strict=False)
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = Field((0.3, 1 / 0.3), strict=False)


class Mixup(Attribute):
    """A blend of each sample with another of the same step: share · x + (1 - share) · other, in pixels and targets.

    The share is drawn for each sample from Beta(alpha, alpha). `probability` is the probability that a sample is
    blended; by default that which `cutmix` leaves, and 0.5 if both omit it.

    Source: Zhang et al. 2018, section 2.
    """

    alpha: PositiveFloat
    probability: PositiveShare | None = None


class CutMix(Attribute):
    """A box of another image of the same step pasted into each; targets are blended by their shares of the pixels.

    The box has the image's proportions and 1 - share of its area, where the share is drawn for each image from
    Beta(alpha, alpha). Its center is drawn uniformly, and the box is clipped to the image. `probability` is the
    probability that an image is pasted into; by default that which `mixup` leaves, and 0.5 if both omit it.

    Source: Yun et al. 2019, section 3.1, with the same alpha.
    """

    alpha: PositiveFloat = 1.0
    probability: PositiveShare | None = None


class ElasticDeformation(Attribute):
    """A smooth displacement of every pixel, interpolated by cubic splines from random displacements on a grid.

    `grid` is the number of grid points along each side of the crop, corners included. `std` is the standard deviation
    of their displacements along each axis. Units: pixels of the network's input.

    Source: Ronneberger et al. 2015, section 3.1, with the same numbers.
    """

    grid: Annotated[int, Field(ge=2)] = 3
    std: PositiveFloat = 10.0


class Misfit(NamedTuple):
    """An augmentation that does not fit the size of the network's input.

    Attributes:
        name: the name of the attribute.
        message: the problem.
        hint: a value that would fit.
    """

    name: str
    message: str
    hint: str = ""


class Augmentation(Attribute):
    """The random changes of a training image, in this order; a mask undergoes the same geometric changes.

    Attributes:
        random_shorter_side: the inclusive bounds of the length to which the image's shorter side is resized before the
            crop, in place of the preprocessing's (VGG: Simonyan & Zisserman 2015, section 3.1). Units: pixels.
        random_crop: crops at a random position; without it, the crop is in the center.
        crop_padding: black pixels on each side of the image before a random crop (CIFAR: He et al. 2016, section 4.2).
            Units: pixels.
        random_resized_crop: crops and resizes instead.
        horizontal_flip: mirrors the crop with probability 0.5.
        quarter_turns: rotates the crop, which must be square, by zero to three quarter turns.
        elastic_deformation: deforms the crop.
        color_jitter: changes the brightness, contrast and saturation of the crop.
        rand_augment: applies random operations to the pixels of the crop.
        auto_augment: applies operations of a policy to the pixels instead.
        random_erasing: replaces a rectangle by noise.
        color_noise: adds one random color to all pixels.
        mixup, cutmix: mix the sample with another; at most one of the two is applied to a sample.
    """

    random_shorter_side: tuple[PositiveInt, PositiveInt] | None = Field(None, strict=False)
    random_crop: Size2d | None = None
    crop_padding: NonNegativeInt = 0
    random_resized_crop: RandomResizedCrop | None = None
    horizontal_flip: bool = False
    quarter_turns: bool = False
    elastic_deformation: ElasticDeformation | None = None
    color_jitter: ColorJitter | None = None
    rand_augment: RandAugment | None = None
    auto_augment: AutoAugment | None = None
    random_erasing: RandomErasing | None = None
    color_noise: ColorNoise | None = None
    mixup: Mixup | None = None
    cutmix: CutMix | None = None

    @model_validator(mode="after")
    def _has_one_crop(self) -> Self:
        if self.random_resized_crop and (self.random_crop or self.random_shorter_side):
            other = "random_crop" if self.random_crop else "random_shorter_side"
            raise ValueError(f"`random_resized_crop` and `{other}` are two ways to crop: leave one of them out")
        if self.random_shorter_side:
            require_rising("random_shorter_side", self.random_shorter_side)
        if self.crop_padding and not self.random_crop:
            raise ValueError("`crop_padding` pads the image before a random crop: add `random_crop`")
        if self.crop_padding and self.random_shorter_side:
            raise ValueError("`crop_padding` is for images of one size, unlike `random_shorter_side`: leave one out")
        return self

    @model_validator(mode="after")
    def _has_one_policy(self) -> Self:
        if self.rand_augment and self.auto_augment:
            raise ValueError("`rand_augment` and `auto_augment` are two policies for one crop: leave one of them out")
        return self

    def misfits(self, height: int, width: int) -> Iterator[Misfit]:
        """Yield the augmentations that do not fit an input, and so a crop, of this size. Units: pixels."""
        crop, sides, size = self.random_crop, self.random_shorter_side, f"{height}x{width}"
        if crop and (crop.height, crop.width) != (height, width):
            fitting = height if height == width else f"{{height: {height}, width: {width}}}"
            message = f"expected the size of the network's input, {size}, received {crop}"
            yield Misfit("random_crop", message, f"write `random_crop: {fitting}`")
        if sides and sides[0] < max(height, width):
            message = f"a side of {sides[0]} does not cover the network's input of {size}"
            yield Misfit("random_shorter_side", message, f"the least side is {max(height, width)}")
        if self.crop_padding >= min(height, width):
            message = f"with {self.crop_padding} pixels of padding a crop of {size} could be all black"
            yield Misfit("crop_padding", message, f"less than {min(height, width)}")
        if self.quarter_turns and height != width:
            yield Misfit("quarter_turns", f"needs square crops, and the network's input is {size}")

    @property
    def policy(self) -> RandAugment | AutoAugment | None:
        """The policy of operations on the pixels of a crop."""
        return self.rand_augment or self.auto_augment

    @property
    def operates(self) -> bool:
        """Whether operations are applied to the pixels of a crop, by a policy or as color jitter."""
        return self.policy is not None or self.color_jitter is not None

    @model_validator(mode="after")
    def _mixes_a_sample_once(self) -> Self:
        given = {name: mix.probability for name, mix in (("mixup", self.mixup), ("cutmix", self.cutmix)) if mix}
        total = sum(probability or 0.0 for probability in given.values())
        if len(given) == 2 and (total > 1 + ROUNDING or (None in given.values() and total == 1)):
            received = ", ".join(f"{name} {'the rest' if p is None else f'{p:g}'}" for name, p in given.items())
            raise ValueError(
                f"a sample is mixed once at most: expected a total `probability` of 1 at most, received {received}"
            )
        return self

    @property
    def mixes(self) -> tuple[float, float]:
        """The probabilities that a sample undergoes Mixup, and CutMix."""
        given = [mix.probability if mix else 0.0 for mix in (self.mixup, self.cutmix)]
        rest = (1 - sum(probability or 0.0 for probability in given)) / max(1, given.count(None))
        mixup, cutmix = (rest if probability is None else probability for probability in given)
        return mixup, cutmix

    @property
    def mixing(self) -> "Augmentation":
        """The augmentation with only Mixup and CutMix."""
        return Augmentation(mixup=self.mixup, cutmix=self.cutmix)

    @property
    def needing_partner(self) -> tuple[str, ...]:
        """The names of the enabled augmentations that need another sample of the same step."""
        return tuple(name for name in ("mixup", "cutmix") if getattr(self, name))

    @property
    def image_only(self) -> tuple[str, ...]:
        """The names of the enabled augmentations that apply to images only, and not to features."""
        return tuple(name for name in self.enabled if name != "mixup")

    @property
    def without_masks(self) -> tuple[str, ...]:
        """The names of the enabled augmentations that have no equivalent for masks.

        They move or mix only the pixels of the image, or pad it with pixels that have no label.
        """
        image_labels = ("crop_padding", "rand_augment", "auto_augment", "mixup", "cutmix")
        return tuple(name for name in self.enabled if name in image_labels)

    @property
    def enabled(self) -> tuple[str, ...]:
        """The names of the enabled augmentations."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))

    @property
    def resizes(self) -> bool:
        """Whether the crop is resized from the image at its original size, in place of the preprocessing's resize."""
        return self.random_resized_crop is not None or self.random_shorter_side is not None


class Evaluation(Attribute):
    """The views by which an image is evaluated: its center crop, or ten (four corners and center, each mirrored)."""

    views: Views = 1
