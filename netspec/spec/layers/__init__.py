"""Reads `layers:`, `blocks:` and `outputs:`, and resolves which layer reads which values.

`layers` reads a layer that is an op, and `uses` one that uses a block, in an `environment` of what its expressions see;
both give `drafts`, with `hints` where something else was meant. `blocks` reads the definitions of blocks. `network`
reads the layers of the network itself, in an `order` in which the shapes that expressions see are known. `connect` then
resolves the `references` between drafts, and the `outputs`.
"""
