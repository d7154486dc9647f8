"""Weights that people have already, carried into a spec's canonical names by a mapping file that is data.

A mapping says how one family of networks is named elsewhere (`specs/weights/ORIGIN/FAMILY.yaml`):

    spec: ../../resnet.yaml                          # seen from this file
    origin: torchvision                              # or timm, keras-applications: how its layers name their weights
    source: torchvision 0.28, models/resnet.py
    models: {resnet18: {depth: 18}, resnet50: {depth: 50}}      # their model: parameters of our spec
    arguments: {}                                    # with which the origin's function makes the network, if any
    layers:                                          # their layer: ours
      "{layer}": "${layer}"
      "layer{s}.{i}.{layer}": "layer${s}.${i}.${layer}"
      "layer{s}.{i}.downsample.0": "layer${s}.${i}.downsample.conv"
      "layer{s}.{i}.downsample.1": "layer${s}.${i}.downsample.bn"

On the left `{x}` stands for the shortest text without a dot that fits, `{x*}` for one with dots too. On the right
`${…}` is an expression of the spec language over these and the model's parameters, such as `${i + 1}`. Rules are of
layers: which weights a layer has, what the origin calls them and how their axes lie is known once by origin and op
(`origins.py`). Where both sides name a weight in full, the rule is of that weight. Further keys, each optional:

    layers: {"b{i}.qkv": ["b${i}.q", "b${i}.k", "b${i}.v"]}      # split evenly along the outputs, in this order
    joined: {"b${i}.attn.in_weight": ["b{i}.q.weight", …]}       # ours: the parts of it, in order
    in_order: {"features.{n}": "stage{s}.{i}.{layer}"}           # what no other rule takes: theirs, sorted by number,
                                                                 # are ours, in the order of the network
    ignored: ["aux{i}.{path*}"]                                  # theirs that the network does not use
    constants: {"{layer}.weight": 1}                             # ours that the origin has not, and so has as a number

Here a mapping is read and checked, and what an origin knows of its layers stands as data.
"""

from netspec.transfer.mapping import WeightMapping, read_mapping
from netspec.transfer.origins import ORIGINS, Origin

__all__ = ["ORIGINS", "Origin", "WeightMapping", "read_mapping"]
