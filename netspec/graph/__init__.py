"""The graph: the immutable representation of a network between the language and the backends.

`graph` has nodes with inferred shapes, `scopes` the blocks that they come from, and `preprocessing`, with its `mean`
image, what an input needs. `weights` checks arrays against a graph, and `training` makes the graph that is trained.

For people there are its `text`, the `analysis` of costs, the `folding` of equal blocks, `diff`, `mermaid` and
`drawing`.

For several devices, `towers` finds what can be divided, and `places` how each node is then computed; `placement` adds
the weights and each `crossing` between towers. `localize` gives one tower's part of an op, and `tower` its graph.
"""

from netspec.graph.graph import Graph, Head, Hint, Input, Node, make_node
from netspec.graph.mean import MeanImage
from netspec.graph.preprocessing import Normalization, Preprocessing
from netspec.graph.scopes import Formula, Scope

__all__ = [
    "Formula",
    "Graph",
    "Head",
    "Hint",
    "Input",
    "MeanImage",
    "Node",
    "Normalization",
    "Preprocessing",
    "Scope",
    "make_node",
]
