"""The zoo's specs as small as they are verified: data that test_zoo.py runs. Sorted by spec."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import netspec
from tests.specs.member import Settings

SPECS = Path(__file__).parents[2] / "specs"

# The member of each spec that is verified, small enough for every run of the tests: a small image, stages that repeat
# once or twice, narrow layers. `netspec verify` without settings proves the published size.
SMALL: Mapping[str, Settings] = {
    "convnext": {"classes": 10, "depths": [2, 1, 1, 1], "widths": [12, 16, 20, 24], "size": 64},
    "convnext-v2": {"classes": 10, "depths": [2, 1, 1, 1], "widths": [12, 16, 20, 24], "size": 64},
    "dcgan-discriminator": {"width": 4},
    "dcgan-generator": {"width": 4},
    "densenet": {"classes": 10, "counts": [2, 1, 1, 1], "size": 32},
    "efficientnet": {"classes": 10, "variant": "b0", "counts": [1, 2, 1, 1, 1, 1, 1], "size": 32},
    "efficientnet-v2": {"classes": 10, "variant": "b0", "counts": [2, 2, 1, 1, 2, 1, 0], "size": 32},
    "googlenet": {"classes": 10, "size": 32},
    "inception-v3": {"classes": 10, "heads": False, "size": 75},
    "lenet5-1998": {},
    "mnasnet": {"classes": 10, "alpha": 0.5, "size": 32},
    "mobilenet-v1": {"classes": 10, "alpha": 0.25, "size": 32},
    "mobilenet-v2": {"classes": 10, "alpha": 0.35, "size": 32},
    "mobilenet-v3-large": {"classes": 10, "size": 32},
    "mobilenet-v3-small": {"classes": 10, "size": 32},
    "nin": {"classes": 10, "size": 64},
    "regnet-y": {"classes": 10, "flops": "400mf", "counts": [1, 2, 1, 1], "size": 32},
    "resnet": {"classes": 10, "depth": 50, "counts": [2, 1, 1, 1], "size": 32},
    "resnext": {"classes": 10, "depth": 50, "groups": 8, "counts": [2, 1, 1, 1], "size": 32},
    "shufflenet-v2": {"classes": 10, "width": "x0_5", "size": 32},
    "squeezenet": {"classes": 10, "size": 47},
    "swin": {"classes": 10, "depths": [2, 1, 1, 2], "width": 8, "head": 4, "window": 4, "size": 128},
    "unet": {"size": 188, "width": 2},
    "vgg": {"classes": 10, "depth": 11, "batch_norm": True, "hidden": 64, "size": 32},
    "vit": {"classes": 10, "depth": 2, "heads": 3, "width": 48, "size": 32},
    "wide-resnet": {"classes": 10, "depth": 50, "width_per_group": 32, "counts": [2, 1, 1, 1], "size": 32},
    "zfnet": {"classes": 10, "hidden": 64, "size": 64},
}

# Layers of networks whose depth is no parameter, that are left out or repeated less: each is a block that stands
# elsewhere in the network too, with the same kernel, stride, activation and branches, and only other widths.
SHORTER: Mapping[str, Mapping[str, object]] = {
    "googlenet": dict.fromkeys(["inception3b", "inception4b", "inception4c", "inception4e", "inception5a"]),
    "inception-v3": dict.fromkeys(["Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_7c"]),
    "mnasnet": {"stage2_rest": {"repeat": 1}, "stage3_rest": {"repeat": 1}, "stage5_rest": None},
    "mobilenet-v2": dict.fromkeys(["stage4_rest", "stage5_rest", "stage6_rest"]),
    "mobilenet-v3-large": dict.fromkeys(["block3", "block9", "block10", "block15"]),
    "mobilenet-v3-small": dict.fromkeys(["block6", "block8"]),
    "shufflenet-v2": {"stage2_rest": {"repeat": 2}, "stage3_rest": {"repeat": 1}, "stage4_rest": None},
}


def load_small(spec: str) -> netspec.Network:
    """Load the small member of a spec."""
    path = SPECS / f"{spec}.yaml"
    if spec not in SHORTER:
        return netspec.load(path, SMALL[spec])
    with TemporaryDirectory() as folder:
        shorter = Path(folder, path.name)
        shorter.write_text(
            json.dumps({"name": spec, "extends": os.path.relpath(path, folder), "layers": SHORTER[spec]})
        )
        return netspec.load(shorter, SMALL[spec])
