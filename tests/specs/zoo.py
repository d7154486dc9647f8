"""The zoo's figures, as their sources state them: data that test_zoo.py runs. Sorted by spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """A network of the zoo, and what it must count.

    Attributes:
        spec: the file's stem in `specs/`.
        settings: parameters, as `--set` gives them.
        trained: weights that are trained.
        not_trained: running statistics: two for each normalised channel.
        macs: multiply-accumulates a sample, of convolutions, dense layers and matrix products.
        outputs: the features of each output.
        source: of `trained`; and of `macs`, in the digits that it gives.
    """

    spec: str
    settings: Settings
    trained: int
    not_trained: int
    macs: int
    outputs: tuple[tuple[int, ...], ...]
    source: str

    def __str__(self) -> str:
        return "-".join((self.spec, *(f"{name}={value}" for name, value in self.settings.items())))


IMAGENET = ((1000,),)

MEMBERS = (
    Member("convnext", {"model": "tiny"}, 28_589_128, 0, 4_455_531_264, IMAGENET, "torchvision: 4.456 G"),
    Member("convnext", {"model": "small"}, 50_223_688, 0, 8_683_712_256, IMAGENET, "torchvision: 8.684 G"),
    Member("convnext", {"model": "base"}, 88_591_464, 0, 15_354_729_472, IMAGENET, "torchvision: 15.355 G"),
    Member("convnext", {"model": "large"}, 197_767_336, 0, 34_361_433_600, IMAGENET, "torchvision: 34.361 G"),
    Member(
        "dcgan-generator",
        {},
        3_576_704,
        1_920,
        # each element times its 4·4 kernels, of 512, 256, 128, 64 and 3 channels
        100 * 16 * 512 + 16 * 16 * (1 * 512 * 256 + 4 * 256 * 128 + 16 * 128 * 64) + 1024 * 16 * 64 * 3,
        ((3, 64, 64),),
        "the generator of pytorch/examples with ngf 64 and nz 100; multiplications counted by hand",
    ),
    Member("mobilenet-v2", {}, 3_504_872, 34_112, 300_774_272, IMAGENET, "torchvision's mobilenet_v2: 0.301 G"),
    Member("resnet", {"depth": 18}, 11_689_512, 9_600, 1_814_073_344, IMAGENET, "torchvision's resnet18: 1.814 G"),
    Member("resnet", {"depth": 34}, 21_797_672, 17_024, 3_663_761_408, IMAGENET, "torchvision's resnet34: 3.664 G"),
    Member("resnet", {"depth": 50}, 25_557_032, 53_120, 4_089_184_256, IMAGENET, "torchvision's resnet50: 4.089 G"),
    Member("resnet", {"depth": 101}, 44_549_160, 105_344, 7_801_405_440, IMAGENET, "torchvision's resnet101: 7.801 G"),
    Member(
        "resnet", {"depth": 152}, 60_192_808, 151_424, 11_513_626_624, IMAGENET, "torchvision's resnet152: 11.514 G"
    ),
    Member("unet", {}, 31_030_658, 0, 150_428_424_448, ((2, 388, 388),), "figure 1, counted by hand in the spec"),
    Member("vit", {"model": "b_16"}, 86_567_656, 0, 17_563_828_224, IMAGENET, "torchvision's vit_b_16: 17.564 G"),
    Member("vit", {"model": "b_32"}, 88_224_232, 0, 4_409_186_304, IMAGENET, "torchvision's vit_b_32: 4.409 G"),
    Member("vit", {"model": "l_16"}, 304_326_632, 0, 61_554_712_576, IMAGENET, "torchvision's vit_l_16: 61.555 G"),
    Member("vit", {"model": "l_32"}, 306_535_400, 0, 15_377_539_072, IMAGENET, "torchvision's vit_l_32: 15.378 G"),
)

# The member of each spec that is verified, small enough for every run of the tests: a small image, stages that repeat
# once or twice, narrow dense layers. `netspec verify` without settings proves the published size.
SMALL: Mapping[str, Settings] = {
    "convnext": {"depths": [2, 1, 1, 1], "widths": [12, 16, 20, 24], "size": 64},
    "dcgan-generator": {"width": 4},
    "mobilenet-v2": {"size": 32},
    "resnet": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "unet": {"size": 188, "width": 2},
    "vit": {"depth": 2, "heads": 3, "width": 48, "size": 32},
}
