"""The graph: the immutable representation of a network between the language and the backends."""

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
