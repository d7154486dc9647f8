"""Import of published weights: a mapping file renames them to a spec's canonical names.

A mapping describes the names of one family of networks in another library (`specs/weights/ORIGIN/FAMILY.yaml`):

    spec: ../../resnet.yaml                          # relative to this file
    origin: torchvision                              # or timm, keras-applications: how layers name their weights
    source: torchvision 0.28, models/resnet.py
    models: {resnet18: {depth: 18}, resnet50: {depth: 50}}      # their model: parameters of our spec
    layers:                                          # their layer: ours
      "{layer}": "${layer}"
      "layer{s}.{i}.{layer}": "layer${s}.${i}.${layer}"
      "layer{s}.{i}.downsample.0": "layer${s}.${i}.downsample.conv"
      "layer{s}.{i}.downsample.1": "layer${s}.${i}.downsample.bn"

On the left, the hole `{x}` matches the shortest text without a dot, and `{x*}` the shortest text. On the right, `${…}`
is an expression of the spec language over the holes and the model's parameters, such as `${i + 1}`. A rule does not
apply to a layer if its expression cannot be evaluated, or gives the name of no layer. Rules name layers; the names and
the axis order of a layer's weights follow from origin and op (`origins.py`). A rule may also name a single weight in
full on both sides. Further keys, each optional:

    lists: {part: [conv, bn]}                                    # tables for expressions: `${part[i]}`; or mappings
    ignored: ["aux{i}.{path*}"]                                  # their weights that the spec has no place for
    constants: {"{layer}.weight": 1}                             # our weights that the origin lacks, and their value

Every weight of the file and of the spec has to be accounted for, else nothing is transferred.
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
