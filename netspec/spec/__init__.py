"""The front end: reads and checks a spec file, and elaborates it to a graph.

`read_spec` returns the spec of a file, `elaborate` the graph of a spec, and `load_graph` the graph of a file. Each
raises a single `SpecError` that reports all problems.
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
