"""Weights without decay in the recipes: every pattern fits a weight, and each set is that of its source."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import netspec
from netspec import Network
from netspec.graph import Node
from netspec.ops.convolution import Conv2d

SPECS = Path(__file__).parents[2] / "specs"
BATCH_NORM = frozenset({"batch_norm.weight", "batch_norm.bias"})
LAYER_NORM = frozenset({"layer_norm.weight", "layer_norm.bias"})
BIASES = frozenset({"conv2d.bias", "dense.bias"})
DEPTHWISE = frozenset({"depthwise.weight"})
# Sources: tensorflow/tpu, models/official/mnasnet/mnasnet_main.py and efficientnet/main.py, all variables but those of
# batch normalization; tensorflow/models, research/slim/nets/mobilenet_v1.py and mobilenet/mobilenet.py, regularizers of
# kernels alone, and none of separable_conv2d; megvii-model/ShuffleNet-Series, utils.py, and facebookresearch/ConvNeXt,
# optim_factory.py, nothing of one axis; facebookresearch/ConvNeXt-V2, optim_factory.py, no gamma and beta either;
# microsoft/Swin-Transformer, optimizer.py, and its no_weight_decay_keywords; BVLC/caffe,
# models/bvlc_googlenet/train_val.prototxt.
UNDECAYED = {
    "convnext": LAYER_NORM | BIASES | {"layer_scale.weight"},
    "convnext-v2": LAYER_NORM | BIASES | {"layer_scale.weight", "parameter.weight"},
    "efficientnet": BATCH_NORM,
    "efficientnet-v2": BATCH_NORM,
    "googlenet": {"batch_norm.bias", "dense.bias"},
    "mnasnet": BATCH_NORM,
    "mobilenet-v1": BATCH_NORM | DEPTHWISE | {"dense.bias"},
    "mobilenet-v2": BATCH_NORM | DEPTHWISE | {"dense.bias"},
    "mobilenet-v3-large": BATCH_NORM | DEPTHWISE | BIASES,
    "mobilenet-v3-small": BATCH_NORM | DEPTHWISE | BIASES,
    "shufflenet-v2": BATCH_NORM | {"dense.bias"},
    "swin": LAYER_NORM | BIASES | {"parameter.weight"},
}


def decays(network: Network) -> Iterator[tuple[str, bool]]:
    """Return the kind of each trained weight, such as `conv2d.bias`, and whether it decays."""
    recipe = network.spec.training
    assert recipe is not None
    for name, weight in network.graph.weights.items():
        if weight.trainable:
            layer, _, own = name.rpartition(".")
            node = network.graph.values[layer]
            assert isinstance(node, Node)
            depthwise = isinstance(node.op, Conv2d) and node.op.groups == node.input_types[0].features[0] > 1
            kind = "depthwise" if depthwise and own == "weight" else node.op.kind
            yield f"{kind}.{own}", recipe.override_of(name).decay_scale > 0


@pytest.mark.parametrize("spec", sorted(UNDECAYED))
def test_what_does_not_decay(spec: str) -> None:
    found = set(decays(netspec.load(SPECS / f"{spec}.yaml")))
    assert {kind for kind, decayed in found if not decayed} == UNDECAYED[spec]
    assert not {kind for kind, decayed in found if decayed} & UNDECAYED[spec]


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_pattern_matches_a_weight(path: Path) -> None:
    network = netspec.load(path)
    recipe = network.spec.training
    names = [name for name, weight in network.graph.weights.items() if weight.trainable]
    for pattern in recipe.overrides if recipe else ():
        assert any(fnmatchcase(name, pattern) for name in names), pattern
