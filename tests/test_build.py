"""The files that `build` writes for PyTorch: a module, and the state dict that it loads without netspec."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from netspec.build import write_build
from netspec.lowering import find_backend
from netspec.spec import load_graph
from netspec.weights import initialize

# Batch normalization has other names in PyTorch, `double` is a method of modules, and the weights of the parameter and
# of the layer scale have other shapes there.
SPEC = """\
name: saved
input: {shape: [4, 6, 6]}
blocks:
  unit:
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 3, padding: 1, bias: false}
      norm: {op: batch_norm, initialize: {running_mean: 0.3, running_variance: 2.0}}
      act: {op: prelu}
layers:
  units: {block: unit, repeat: 2}
  double: {op: conv2d, filters: 8, kernel_size: 1}
  scale: {op: layer_scale, axis: 1}
  table: {op: parameter, shape: [8, 6, 6]}
  sum: {op: add, inputs: [scale, table]}
  flatten: {op: flatten}
  fc: {op: dense, units: 3}
"""


def test_the_written_module_loads_the_written_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "saved.yaml"
    path.write_text(SPEC)
    graph = load_graph(path)
    backend, weights = find_backend("torch"), initialize(graph, seed=1)
    artifact = backend.lower(graph)
    source, state, _ = write_build(graph, [backend], weights, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out") for path in (source, state)] == [
        *(Path("torch/saved.py"), Path("torch/saved.safetensors"))
    ]

    module = runpy.run_path(str(source))[artifact.entry]().eval()
    module.load_state_dict(load_file(state))
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 6)).astype(np.float32)
    with torch.inference_mode():
        y = module(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(y, backend.load(artifact, weights).forward({"input": x})["fc"])
