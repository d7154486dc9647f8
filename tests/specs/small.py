"""The zoo's specs as small as they are verified: data that test_zoo.py runs. Sorted by spec."""

from __future__ import annotations

from collections.abc import Mapping

from tests.specs.member import Settings

# The member of each spec that is verified, small enough for every run of the tests: a small image, stages that repeat
# once or twice, narrow dense layers. `netspec verify` without settings proves the published size.
SMALL: Mapping[str, Settings] = {
    "convnext": {"depths": [2, 1, 1, 1], "widths": [12, 16, 20, 24], "size": 64},
    "convnext-v2": {"depths": [2, 1, 1, 1], "widths": [12, 16, 20, 24], "size": 64},
    "dcgan-generator": {"width": 4},
    "densenet": {"counts": [2, 1, 1, 1], "size": 32},
    "efficientnet": {"variant": "b0", "counts": [1, 2, 1, 1, 1, 1, 1], "size": 32},
    "efficientnet-v2": {"variant": "b0", "counts": [2, 2, 1, 1, 2, 1, 0], "size": 32},
    "googlenet": {"size": 32},
    "inception-v3": {"heads": False, "size": 75},
    "lenet5-1998": {},
    "mnasnet": {"alpha": 0.5, "size": 32},
    "mobilenet-v1": {"alpha": 0.25, "size": 32},
    "mobilenet-v2": {"size": 32},
    "mobilenet-v3-large": {"size": 32},
    "mobilenet-v3-small": {"size": 32},
    "nin": {"size": 64},
    "regnet-y": {"flops": "400mf", "counts": [1, 2, 1, 1], "size": 32},
    "resnet": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "resnext": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "shufflenet-v2": {"width": "x0_5", "size": 32},
    "squeezenet": {"size": 47},
    "swin": {"depths": [2, 2, 2, 2], "width": 8, "head": 4, "window": 4, "size": 128},
    "unet": {"size": 188, "width": 2},
    "vgg": {"batch_norm": True, "hidden": 64, "size": 32},
    "vit": {"depth": 2, "heads": 3, "width": 48, "size": 32},
    "wide-resnet": {"depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "zfnet": {"hidden": 64, "size": 64},
}
