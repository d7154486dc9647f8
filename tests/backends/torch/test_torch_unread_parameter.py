"""A parameter of a block that the emitted class takes, though nothing in the class reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from netspec_torch import BACKEND

from netspec.spec import load_graph

SPEC = """\
name: example
input: {shape: [4]}
blocks:
  optional:
    parameters: {kept: true}
    layers:
      first: {op: identity, when: "${kept}"}
      last: {op: identity}
layers:
  one: {block: optional}
  other: {block: optional, kept: false}
"""


def test_a_block_with_an_optional_identity_and_no_other_layer_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(SPEC)
    graph = load_graph(path)
    x = np.ones((2, 4), np.float32)
    (y,) = BACKEND.load(BACKEND.lower(graph), {}).forward({"input": x}).values()
    np.testing.assert_array_equal(y, x)
