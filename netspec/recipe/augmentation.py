"""What is done to the images that are trained on, and how one is scored."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, PositiveFloat, PositiveInt, Size2d
from netspec.recipe.bounds import PositiveShare, require_rising


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


class ElasticDeformation(Attribute):
    """A smooth displacement of every pixel, interpolated by cubic splines between those of a grid over the crop.

    `grid` is the number of its points along each side, the outer ones in the corners; `std` the standard deviation of
    their displacements along each axis. Units: pixels of the network's input.

    Source: Ronneberger et al. 2015, section 3.1, whose figures these are.
    """

    grid: Annotated[int, Field(ge=2)] = 3
    std: PositiveFloat = 10.0


class Augmentation(Attribute):
    """What is done to a training image at random; to its mask, where it has one, the same.

    Attributes:
        random_shorter_side: bounds of the side, both legal, that the whole image's shorter side is resized to before
            the crop, for the preprocessing's (VGG: Simonyan & Zisserman 2015, section 3.1). Units: pixels.
        random_crop: where the crop lies; without it, in the centre.
        random_resized_crop: another way to have a crop.
        horizontal_flip: mirrors one of two.
        color_noise: added to all pixels.
        quarter_turns: the crop, which is square, is turned by none to three of them.
        elastic_deformation: of the crop.
    """

    random_shorter_side: tuple[PositiveInt, PositiveInt] | None = Field(None, strict=False)
    random_crop: Size2d | None = None
    random_resized_crop: RandomResizedCrop | None = None
    horizontal_flip: bool = False
    color_noise: ColorNoise | None = None
    quarter_turns: bool = False
    elastic_deformation: ElasticDeformation | None = None

    @model_validator(mode="after")
    def _has_one_crop(self) -> Self:
        if self.random_resized_crop and (self.random_crop or self.random_shorter_side):
            other = "random_crop" if self.random_crop else "random_shorter_side"
            raise ValueError(f"`random_resized_crop` says size and place of the crop: leave it out, or `{other}`")
        if self.random_shorter_side:
            require_rising("random_shorter_side", self.random_shorter_side)
        return self

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

    views: Literal[1, 10] = 1
