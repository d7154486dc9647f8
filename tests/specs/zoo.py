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
        macs: multiply-accumulates a sample at inference, of convolutions, dense layers and matrix products.
        outputs: the features of each output at inference.
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

# Kernels and biases of the prototxt's layers, conv1, cccp1, cccp2, conv2, …: 96·3·11² + 96, 96·96 + 96 twice;
# 256·96·5² + 256, 256·256 + 256 twice; 384·256·3² + 384, 384·384 + 384 twice; 1024·384·3² + 1024, 1024² + 1024 and
# 1000·1024 + 1000.
NIN = 34_944 + 2 * 9_312 + 614_656 + 2 * 65_792 + 885_120 + 2 * 147_840 + 3_539_968 + 1_049_600 + 1_025_000

# 96·3·7² + 96, 256·96·5² + 256, 384·256·3² + 384, 384·384·3² + 384, 256·384·3² + 256; 9216, 4096 and 4096 features to
# 4096, 4096 and 1000.
ZFNET = 14_208 + 614_656 + 885_120 + 1_327_488 + 884_992 + 37_752_832 + 16_781_312 + 4_097_000

MEMBERS = (
    Member(
        "densenet", {"depth": 121}, 7_978_856, 83_648, 2_834_161_664, IMAGENET, "torchvision's densenet121: 2.834 G"
    ),
    Member(
        "densenet", {"depth": 161}, 28_681_000, 219_936, 7_727_907_072, IMAGENET, "torchvision's densenet161: 7.728 G"
    ),
    Member(
        "densenet", {"depth": 169}, 14_149_480, 158_400, 3_359_843_328, IMAGENET, "torchvision's densenet169: 3.36 G"
    ),
    Member(
        "densenet", {"depth": 201}, 20_013_928, 229_056, 4_291_365_888, IMAGENET, "torchvision's densenet201: 4.291 G"
    ),
    Member(
        "googlenet", {}, 13_004_888, 15_072, 1_498_376_192, IMAGENET, "torchvision's googlenet, aux_logits: 1.498 G"
    ),
    Member(
        "googlenet", {"heads": False}, 6_624_904, 14_560, 1_498_376_192, IMAGENET, "torchvision's googlenet: 1.498 G"
    ),
    Member("inception-v3", {}, 27_161_264, 36_224, 5_713_216_096, IMAGENET, "torchvision's inception_v3: 5.713 G"),
    Member("inception-v3", {"heads": False}, 23_834_568, 34_432, 5_713_216_096, IMAGENET, "the same: 5.713 G"),
    Member("mobilenet-v2", {}, 3_504_872, 34_112, 300_774_272, IMAGENET, "torchvision's mobilenet_v2: 0.301 G"),
    Member("nin", {}, NIN, 0, 1_100_188_800, IMAGENET, "counted by the layers of the Caffe model zoo's nin_imagenet"),
    Member("resnet", {"depth": 18}, 11_689_512, 9_600, 1_814_073_344, IMAGENET, "torchvision's resnet18: 1.814 G"),
    Member("resnet", {"depth": 34}, 21_797_672, 17_024, 3_663_761_408, IMAGENET, "torchvision's resnet34: 3.664 G"),
    Member("resnet", {"depth": 50}, 25_557_032, 53_120, 4_089_184_256, IMAGENET, "torchvision's resnet50: 4.089 G"),
    Member("resnet", {"depth": 101}, 44_549_160, 105_344, 7_801_405_440, IMAGENET, "torchvision's resnet101: 7.801 G"),
    Member(
        "resnet", {"depth": 152}, 60_192_808, 151_424, 11_513_626_624, IMAGENET, "torchvision's resnet152: 11.514 G"
    ),
    Member("squeezenet", {"minor": 0}, 1_248_424, 0, 818_924_576, IMAGENET, "torchvision's squeezenet1_0: 0.819 G"),
    Member("squeezenet", {"minor": 1}, 1_235_496, 0, 349_151_936, IMAGENET, "torchvision's squeezenet1_1: 0.349 G"),
    Member("vgg", {"depth": 11}, 132_863_336, 0, 7_609_090_048, IMAGENET, "torchvision's vgg11: 7.609 G"),
    Member("vgg", {"depth": 13}, 133_047_848, 0, 11_308_466_176, IMAGENET, "torchvision's vgg13: 11.308 G"),
    Member("vgg", {"depth": 16}, 138_357_544, 0, 15_470_264_320, IMAGENET, "torchvision's vgg16: 15.47 G"),
    Member("vgg", {"depth": 19}, 143_667_240, 0, 19_632_062_464, IMAGENET, "torchvision's vgg19: 19.632 G"),
    Member(
        "vgg",
        {"depth": 11, "batch_norm": True},
        132_868_840,
        5_504,
        7_609_090_048,
        IMAGENET,
        "torchvision's vgg11_bn: 7.609 G",
    ),
    Member(
        "vgg",
        {"depth": 13, "batch_norm": True},
        133_053_736,
        5_888,
        11_308_466_176,
        IMAGENET,
        "torchvision's vgg13_bn: 11.308 G",
    ),
    Member(
        "vgg",
        {"depth": 16, "batch_norm": True},
        138_365_992,
        8_448,
        15_470_264_320,
        IMAGENET,
        "torchvision's vgg16_bn: 15.47 G",
    ),
    Member(
        "vgg",
        {"depth": 19, "batch_norm": True},
        143_678_248,
        11_008,
        19_632_062_464,
        IMAGENET,
        "torchvision's vgg19_bn: 19.632 G",
    ),
    Member("zfnet", {}, ZFNET, 0, 1_168_032_896, IMAGENET, "counted by the layers of the paper's figure 3"),
)

# The member of each spec that is verified, small enough for every run of the tests: a small image, stages that repeat
# once or twice, narrow dense layers. `netspec verify` without settings proves the published size.
SMALL: Mapping[str, Settings] = {
    "densenet": {"counts": [2, 1, 1, 1], "size": 32},
    "googlenet": {"size": 32},
    "inception-v3": {"heads": False, "size": 75},
    "mobilenet-v2": {"size": 32},
    "nin": {"size": 64},
    "resnet": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "squeezenet": {"size": 47},
    "vgg": {"batch_norm": True, "hidden": 64, "size": 32},
    "zfnet": {"hidden": 64, "size": 64},
}
