"""Weights that people have already, carried into a spec's canonical names by a mapping file that is data.

A mapping says how one family of networks is named elsewhere (`specs/weights/ORIGIN/FAMILY.yaml`):

    spec: ../../resnet.yaml                          # seen from this file
    origin: torchvision                              # or timm, keras-applications: how its layers name their weights
    source: torchvision 0.28, models/resnet.py
    models: {resnet18: {depth: 18}, resnet50: {depth: 50}}      # their model: parameters of our spec
    layers:                                          # their layer: ours
      "{layer}": "${layer}"
      "layer{s}.{i}.{layer}": "layer${s}.${i}.${layer}"
      "layer{s}.{i}.downsample.0": "layer${s}.${i}.downsample.conv"
      "layer{s}.{i}.downsample.1": "layer${s}.${i}.downsample.bn"

On the left `{x}` stands for the shortest text without a dot that fits, `{x*}` for one with dots too. On the right
`${…}` is an expression of the spec language over these and the model's parameters, such as `${i + 1}`. A rule whose
expression has no value, or whose name no layer has, is of other layers. Rules are of layers: which weights a layer has,
what the origin calls them and how their axes lie is known once by origin and op (`origins.py`). Where both sides name a
weight in full, the rule is of that weight. Further keys, each optional:

    lists: {part: [conv, bn]}                                    # to look up: `${part[i]}`; mappings by name
    ignored: ["aux{i}.{path*}"]                                  # theirs that the network does not use
    constants: {"{layer}.weight": 1}                             # ours that the origin lacks, and their value

Every weight of the file and of the spec is accounted for, or nothing is transferred.
"""

from netspec.transfer.catalog import find_model, model_names, models_of, shipped_mappings
from netspec.transfer.mapping import WeightMapping, read_mapping
from netspec.transfer.origins import ORIGINS, Origin
from netspec.transfer.read import read_weights
from netspec.transfer.transfer import Transfer, transfer

__all__ = [
    "ORIGINS",
    "Origin",
    "Transfer",
    "WeightMapping",
    "find_model",
    "model_names",
    "models_of",
    "read_mapping",
    "read_weights",
    "shipped_mappings",
    "transfer",
]
