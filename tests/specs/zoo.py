"""The networks that ship: what each member of a family counts, by the source that is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Member:
    """One network of a family, and its figures.

    Attributes:
        spec: the file of its family, without `.yaml`.
        settings: what `--set` gives it.
        trained: weights that training changes.
        not_trained: weights that it does not.
        macs: multiplications with an addition, for one input.
        outputs: the shape of each output of a sample.
        source: where the figures are from.
    """

    spec: str
    settings: Mapping[str, str | int] = field(default_factory=dict)
    trained: int = 0
    not_trained: int = 0
    macs: int = 0
    outputs: tuple[tuple[int, ...], ...] = ((1000,),)
    source: str = ""


MEMBERS = (
    Member("convnext", {"model": "tiny"}, 28_589_128, 0, 4_455_531_264, source="torchvision: 28,589,128 and 4.456 G"),
    Member("convnext", {"model": "small"}, 50_223_688, 0, 8_683_712_256, source="torchvision: 50,223,688 and 8.684 G"),
    Member("convnext", {"model": "base"}, 88_591_464, 0, 15_354_729_472, source="torchvision: 88,591,464 and 15.355 G"),
    Member(
        "convnext", {"model": "large"}, 197_767_336, 0, 34_361_433_600, source="torchvision: 197,767,336 and 34.361 G"
    ),
    Member(
        "dcgan-generator",
        {},
        3_576_704,
        1_920,  # a mean and a variance for each of 512 + 256 + 128 + 64 channels
        # 100·512·16 and 16·256·512·64, 16·128·256·256, 16·64·128·1024, 16·3·64·1024: each element times its kernels
        819_200 + 3 * 33_554_432 + 3_145_728,
        ((3, 64, 64),),
        "the pytorch examples' generator, ngf 64, nz 100",
    ),
    Member("unet", {}, 31_030_658, 0, 150_428_424_448, ((2, 388, 388),), "figure 1 of the paper, counted by hand"),
    Member("vit", {"model": "b_16"}, 86_567_656, 0, 17_563_828_224, source="torchvision: 86,567,656 and 17.564 G"),
    Member("vit", {"model": "b_32"}, 88_224_232, 0, 4_409_186_304, source="torchvision: 88,224,232 and 4.409 G"),
    Member("vit", {"model": "l_16"}, 304_326_632, 0, 61_554_712_576, source="torchvision: 304,326,632 and 61.555 G"),
    Member("vit", {"model": "l_32"}, 306_535_400, 0, 15_377_539_072, source="torchvision: 306,535,400 and 15.378 G"),
)
