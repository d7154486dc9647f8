"""The graph: the frozen value between the language and the backends."""

from netspec.graph.graph import Graph, Input, Node, make_node
from netspec.graph.preprocessing import Preprocessing

__all__ = ["Graph", "Input", "Node", "Preprocessing", "make_node"]
