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
    Member("mobilenet-v2", {}, 3_504_872, 34_112, 300_774_272, IMAGENET, "torchvision's mobilenet_v2: 0.301 G"),
    Member(
        "network-in-network",
        {},
        34_944 + 2 * 9_312 + 614_656 + 2 * 65_792 + 885_120 + 2 * 147_840 + 3_539_968 + 1_049_600 + 1_025_000,
        0,
        1_100_188_800,
        IMAGENET,
        "the model in Caffe's zoo, a file of 29 MiB; both counted by hand",
    ),
    Member("resnet", {"depth": 18}, 11_689_512, 9_600, 1_814_073_344, IMAGENET, "torchvision's resnet18: 1.814 G"),
    Member("resnet", {"depth": 34}, 21_797_672, 17_024, 3_663_761_408, IMAGENET, "torchvision's resnet34: 3.664 G"),
    Member("resnet", {"depth": 50}, 25_557_032, 53_120, 4_089_184_256, IMAGENET, "torchvision's resnet50: 4.089 G"),
    Member("resnet", {"depth": 101}, 44_549_160, 105_344, 7_801_405_440, IMAGENET, "torchvision's resnet101: 7.801 G"),
    Member(
        "resnet", {"depth": 152}, 60_192_808, 151_424, 11_513_626_624, IMAGENET, "torchvision's resnet152: 11.514 G"
    ),
    Member(
        "zfnet",
        {},
        14_208 + 614_656 + 885_120 + 1_327_488 + 884_992 + 37_752_832 + 16_781_312 + 4_097_000,
        0,
        1_168_032_896,
        IMAGENET,
        "figure 3 of the paper, both counted by hand",
    ),
)

# The member of each spec that is verified, small enough for every run of the tests: a small image, stages that repeat
# once or twice, narrow dense layers. `netspec verify` without settings proves the published size.
SMALL: Mapping[str, Settings] = {
    "mobilenet-v2": {"size": 32},
    "network-in-network": {"size": 99, "classes": 10},
    "resnet": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "zfnet": {"size": 100, "classes": 10},
}
