"""Drawings of network architectures as SVG, in the style of Figure 2 of Krizhevsky et al. 2012."""

from netspec.graph.drawing.picture import draw_graph, picture_of

__all__ = ["draw_graph", "picture_of"]
