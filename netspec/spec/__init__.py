"""The front end: a spec file read, checked and elaborated to a graph.

`read_spec` gives what the file says, `elaborate` the graph of it, `load_graph` both at once; each raises one
`SpecError` with everything that is wrong.
"""

from netspec.spec.elaborate import elaborate
from netspec.spec.json_schema import json_schema
from netspec.spec.load import load_graph, read_spec
from netspec.spec.model import LayerSpec, ModelSpec, Published
from netspec.spec.write import write_spec

__all__ = [
    "LayerSpec",
    "ModelSpec",
    "Published",
    "elaborate",
    "json_schema",
    "load_graph",
    "read_spec",
    "write_spec",
]
