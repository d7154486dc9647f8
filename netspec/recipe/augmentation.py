"""What is done to the images that are trained on, and how one is scored."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt, Size2d
from netspec.recipe.bounds import NonNegativeFloat, PositiveShare, require_rising

Magnitude = Annotated[float, Field(ge=0, le=10)]
Operations = Annotated[int, Field(ge=1, le=100)]  # of an image; more would be a mistake, and numbers are drawn for all

Views = Literal[1, 10]  # of an image that is scored
ROUNDING = 1e-9  # of probabilities that make 1 on paper


class ColorNoise(Attribute):
    """The paper's shift along the principal components of RGB: each times N(0, std) of its deviation."""

    std: PositiveFloat


class RandomResizedCrop(Attribute):
    """A part of the image, resized to the network's input: scale and aspect ratio augmentation.

    `area` bounds its share of the image's area, evenly distributed; `aspect_ratio` its width over its height, the
    logarithm evenly distributed over what fits into the image (Szegedy et al. 2015, section 6, whose bounds these are).
    """

    area: tuple[PositiveShare, PositiveShare] = Field((0.08, 1.0), strict=False)
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = Field((3 / 4, 4 / 3), strict=False)

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        require_rising("area", self.area)
        require_rising("aspect_ratio", self.aspect_ratio)
        return self


class RandAugment(Attribute):
    """Operations on the pixels of a crop, drawn anew for each image, all as likely.

    They are the fourteen of the paper (figure 2 and section 3): identity, auto_contrast, equalize, rotate, solarize,
    color, posterize, contrast, brightness, sharpness, shear_x, shear_y, translate_x, translate_y. The authors' code
    (tensorflow/tpu, models/official/efficientnet) has invert, solarize_add and cutout in the place of identity. timm,
    which trained Swin and ConvNeXt, has the first two of those, and its posterize goes from 4 bits down to none.

    A magnitude of 0 leaves the image as it is, and 10 is as far as AutoAugment's range goes: posterize keeps 8 to 4
    bits, solarize inverts from 256 to from 0 on, factors lie up to 0.9 from 1. Whatever has a direction takes either at
    random. Magnitudes above 10, which the paper has for large networks, are beyond its own scale, and refused.

    Attributes:
        operations: how many are done to an image, one after the other; the same one may come twice.
        magnitude: of all of them.
        magnitude_std: deviation of the magnitude, which is then drawn for each operation from a normal distribution
            and kept from 0 to 10. It is timm's, and the second number where Swin and ConvNeXt state (9, 0.5).
        probability: that an operation which was drawn is done: always in the paper, every second time in timm.

    Source: Cubuk, Zoph, Shlens & Le 2020, RandAugment, section 3.
    """

    operations: Operations = 2
    magnitude: Magnitude = 9.0
    magnitude_std: NonNegativeFloat = 0.0
    probability: PositiveShare = 1.0


class AutoAugment(Attribute):
    """One of a policy's pairs of operations on the pixels of a crop, drawn anew for each image, all as likely.

    `imagenet` is the policy of the paper's table 9, with the ranges of its table 6: posterize keeps 4 bits and more,
    solarize inverts from a threshold on, both weaker as the magnitude rises. As in the authors' code, a magnitude is in
    tenths of a range, and what has a direction takes either at random. EfficientNet's code (tensorflow/tpu,
    models/official/efficientnet) has other pairs, v0, and keeps 0 to 4 bits; no paper states them.

    Source: Cubuk, Zoph, Mane, Vasudevan & Le 2019, AutoAugment, tables 6 and 9.
    """

    policy: Literal["imagenet"]


class RandomErasing(Attribute):
    """A rectangle of a crop whose every value becomes a random one, from 0 to 255.

    `area` bounds its share of the crop's area, evenly distributed; `aspect_ratio` its width over its height, the
    logarithm evenly distributed over what fits into the crop. The paper draws the ratio itself evenly, by which most
    rectangles are long in one direction; the logarithm is timm's, which trained Swin and ConvNeXt.

    Source: Zhong, Zheng, Kang, Li & Yang 2020, Random Erasing, algorithm 1; the defaults are its experiments'.
    """

    probability: PositiveShare = 0.5
    area: tuple[PositiveShare, PositiveShare] = Field((0.02, 0.4), strict=False)
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = Field((0.3, 1 / 0.3), strict=False)

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        require_rising("area", self.area)
        require_rising("aspect_ratio", self.aspect_ratio)
        return self


class Mixup(Attribute):
    """Another sample of the step mixed in: of pixels and targets, share · the sample's + (1 - share) · the other's.

    The share is drawn from Beta(alpha, alpha), for each sample (Zhang et al. 2018, section 2). `probability` is that of
    a sample to be mixed so; left out, it is what `cutmix` leaves, and half where both leave it out.
    """

    alpha: PositiveFloat
    probability: PositiveShare | None = None


class CutMix(Attribute):
    """A box of another image of the step pasted in; of the target each has the share of its pixels.

    The box has the image's proportions and 1 - share of its area, the share drawn from Beta(alpha, alpha) for each
    image; its centre is anywhere, and what lies outside is cut off (Yun et al. 2019, section 3.1, whose alpha is 1).
    `probability` is that of an image to be pasted into; left out, it is what `mixup` leaves, and half where both leave
    it out.
    """

    alpha: PositiveFloat = 1.0
    probability: PositiveShare | None = None


class ElasticDeformation(Attribute):
    """A smooth displacement of every pixel, interpolated by cubic splines between those of a grid over the crop.

    `grid` is the number of its points along each side, the outer ones in the corners; `std` the standard deviation of
    their displacements along each axis. Units: pixels of the network's input.

    Source: Ronneberger et al. 2015, section 3.1, whose figures these are.
    """

    grid: Annotated[int, Field(ge=2)] = 3
    std: PositiveFloat = 10.0


class Misfit(NamedTuple):
    """What cannot be done to images for the input that a network has.

    Attributes:
        name: of the attribute.
        message: what is wrong with it.
        hint: what it could be.
    """

    name: str
    message: str
    hint: str = ""


class Augmentation(Attribute):
    """What is done to a training image at random; to its mask, where it has one, the same.

    Attributes:
        random_shorter_side: bounds of the side, both legal, that the whole image's shorter side is resized to before
            the crop, for the preprocessing's (VGG: Simonyan & Zisserman 2015, section 3.1). Units: pixels.
        random_crop: where the crop lies; without it, in the centre.
        crop_padding: black pixels around the image that a random crop is cut from (CIFAR: He et al. 2016, section
            4.2). Units: pixels at each side.
        random_resized_crop: another way to have a crop.
        horizontal_flip: mirrors one of two.
        quarter_turns: the crop, which is square, is turned by none to three of them.
        elastic_deformation: of the crop.
        rand_augment: changes the pixels of what was cut, mirrored, turned and deformed.
        auto_augment: another way to change them.
        random_erasing: after that.
        color_noise: added to all pixels.
        mixup, cutmix: what is mixed with another sample after all that; of both, a sample has one at most.
    """

    random_shorter_side: tuple[PositiveInt, PositiveInt] | None = Field(None, strict=False)
    random_crop: Size2d | None = None
    crop_padding: NonNegativeInt = 0
    random_resized_crop: RandomResizedCrop | None = None
    horizontal_flip: bool = False
    quarter_turns: bool = False
    elastic_deformation: ElasticDeformation | None = None
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
            raise ValueError(f"`random_resized_crop` says size and place of the crop: leave it out, or `{other}`")
        if self.random_shorter_side:
            require_rising("random_shorter_side", self.random_shorter_side)
        if self.crop_padding and not self.random_crop:
            raise ValueError("`crop_padding` is around what a random crop is cut from: say `random_crop` too")
        if self.crop_padding and self.random_shorter_side:
            raise ValueError("`crop_padding` is around an image of one size: leave it out, or `random_shorter_side`")
        return self

    @model_validator(mode="after")
    def _has_one_policy(self) -> Self:
        if self.rand_augment and self.auto_augment:
            raise ValueError("`rand_augment` and `auto_augment` are two policies for one crop: leave one of them out")
        return self

    def misfits(self, height: int, width: int) -> Iterator[Misfit]:
        """What cannot be done for an input of this size, which is that of every crop. Units: pixels."""
        crop, sides, size = self.random_crop, self.random_shorter_side, f"{height}x{width}"
        if crop and (crop.height, crop.width) != (height, width):
            own = height if height == width else f"{{height: {height}, width: {width}}}"
            message = f"expected the size of the network's input, {size}, received {crop}"
            yield Misfit("random_crop", message, f"write `random_crop: {own}`")
        if sides and sides[0] < max(height, width):
            message = f"a side of {sides[0]} does not cover the network's input of {size}"
            yield Misfit("random_shorter_side", message, f"the least side is {max(height, width)}")
        if self.crop_padding >= min(height, width):
            message = f"with {self.crop_padding} pixels of padding a crop of {size} could be black alone"
            yield Misfit("crop_padding", message, f"less than {min(height, width)}")
        if self.quarter_turns and height != width:
            yield Misfit("quarter_turns", f"of square crops alone, and the network's input is {size}")

    @property
    def policy(self) -> RandAugment | AutoAugment | None:
        """What changes the pixels of a crop."""
        return self.rand_augment or self.auto_augment

    @model_validator(mode="after")
    def _shares_the_samples(self) -> Self:
        said = {name: own.probability for name, own in (("mixup", self.mixup), ("cutmix", self.cutmix)) if own}
        total = sum(probability or 0.0 for probability in said.values())
        if len(said) == 2 and (total > 1 + ROUNDING or (None in said.values() and total == 1)):
            received = ", ".join(f"{name} {'what is left' if p is None else f'{p:g}'}" for name, p in said.items())
            raise ValueError(f"a sample is mixed once: `probability` of both makes 1 at most, received {received}")
        return self

    @property
    def mixes(self) -> tuple[float, float]:
        """How likely a sample undergoes Mixup, and how likely CutMix."""
        said = [own.probability if own else 0.0 for own in (self.mixup, self.cutmix)]
        rest = (1 - sum(each or 0.0 for each in said)) / max(1, said.count(None))
        mixup, cutmix = (rest if each is None else each for each in said)
        return mixup, cutmix

    @property
    def mixing(self) -> "Augmentation":
        """What mixes samples, alone."""
        return Augmentation(mixup=self.mixup, cutmix=self.cutmix)

    @property
    def of_steps(self) -> tuple[str, ...]:
        """The names of what is done that takes another sample of the step."""
        return tuple(name for name in ("mixup", "cutmix") if getattr(self, name))

    @property
    def of_images(self) -> tuple[str, ...]:
        """The names of what is done, and cannot be done to features."""
        return tuple(name for name in self.asked if name != "mixup")

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what is done."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))

    @property
    def resizes(self) -> bool:
        """Whether crops are resized from the image as it is, whatever the preprocessing's size."""
        return self.random_resized_crop is not None or self.random_shorter_side is not None


class Evaluation(Attribute):
    """How an image is scored: its center crop, or the mean of ten views (corners, center, mirrored)."""

    views: Views = 1
