"""Emitted Python source.

`source`, `statements` and `definitions` are its syntax tree, `rewrite` and `subscripts` work on that, and `naming`
finds its names. `render` and `render_expressions` turn it into text, which `module` executes. `chains` and `slices`
find the nodes of a graph that one statement writes.
"""
