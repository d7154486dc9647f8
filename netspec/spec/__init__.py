"""The front end: reads and checks a spec file, and elaborates it to a graph.

`read_spec` returns the spec of a file, `elaborate` the graph of a spec, and `load_graph` the graph of a file. Each
raises a single `SpecError` that reports all problems. The way of a spec through the files, which `load` goes:

1. `text` reads the file and those that it extends as documents with positions, as they were `meant` where a key is
   misspelt or misplaced, and `extends` merges them.
2. `validate` turns the document into a `model`, each part checked alone: `parameters` and `expressions` give each
   `${…}` its value, `fields` checks mappings against pydantic models, `layers` reads layers and blocks,
   `preprocessing` that of an input. `check_blocks` checks blocks before they are used, and `crops` and `heads` a
   recipe against inputs and outputs. `spec_hints` words what an unknown key may have meant.
3. `elaborate` infers shapes, and `expand` makes the layers of each instance of a block. `weight_patterns` checks the
   patterns of a recipe against the weights.

Besides, `trainable` says what cannot be trained, and `pair` reads the discriminator of a generator and checks the two;
`write` goes back to text, and `json_schema` is for editors.
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
