"""Stages of netspec on chains of residual blocks of any depth and width. Some values of a chain have two readers."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from netspec.graph.analysis import analyze
from netspec.lowering import Batch, TrainerSettings, at_level, find_backend
from netspec.passes import optimize
from netspec.recipe import Recipe, Sgd
from netspec.spec import elaborate, load_graph, read_spec
from netspec.verify import verify
from netspec.weights import initialize

SPECS = Path(__file__).parents[2] / "specs"
STAGES = (
    *("read and validate", "elaborate", "check", "analyze", "optimize"),
    *("lower to torch", "lower to keras", "lower to onnx", "build in torch", "verify torch", "step in torch"),
)
BLOCK = (
    "{{op: conv2d, filters: {width}, kernel_size: 3, padding: 1, bias: false}}",
    "{{op: batch_norm}}",
    "{{op: relu}}",
    "{{op: add, inputs: [layer{previous}, layer{shortcut}]}}",
)


def chain(layers: int, width: int) -> str:
    """Return the YAML of a chain: residual blocks of convolution, normalization, ReLU and sum, then a classifier."""
    lines = ["name: chain", f"input: {{shape: [{width}, 8, 8]}}", "layers:"]
    for i, template in enumerate(islice(cycle(BLOCK), layers - 2)):
        layer = template.format(width=width, previous=i - 1, shortcut=max(0, i - 4))
        lines.append(f"  layer{i}: {layer}")
    return "\n".join([*lines, "  pool: {op: global_avg_pool2d}", "  fc: {op: dense, units: 10}", ""])


def elaboration(spec: str, settings: dict[str, object]) -> Callable[[], None]:
    """Elaborate a spec of `specs/` that has been read and validated before."""
    model = read_spec(SPECS / f"{spec}.yaml", settings)

    def run() -> None:
        elaborate(model)

    return run


def stage(name: str, layers: int, width: int = 4) -> Callable[[], None]:
    """Run one of the `STAGES` on a chain; the stages before it have run already."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)  # keeps the folder until the process ends
    path = Path(folder.name) / f"chain{layers}.yaml"
    path.write_text(chain(layers, width), encoding="utf-8")
    action = _action(name, path)

    def run() -> None:
        action()

    return run


def _action(name: str, path: Path) -> Callable[[], object]:
    spec, backend = read_spec(path), find_backend("torch")
    graph = elaborate(spec)
    if name.startswith("lower to "):
        target = find_backend(name.removeprefix("lower to "))
        return lambda: target.lower(graph)
    if name == "step in torch":
        recipe = Recipe(batch_size=2, epochs=1, optimizer=Sgd(name="sgd", learning_rate=1e-6, momentum=0.9))
        trainer = at_level(backend, "training").trainer(graph, initialize(graph), TrainerSettings(recipe, None, "cpu"))
        x = np.random.default_rng(0).standard_normal(graph.inputs[0].type.concrete(2), np.float32)
        batches = [Batch(x, np.zeros(2, np.int64), np.arange(2))]
        return lambda: trainer.step(batches, 1e-6, 2, 0)
    weights = initialize(graph)
    return {
        "read and validate": lambda: read_spec(path),
        "elaborate": lambda: elaborate(spec),
        "check": lambda: load_graph(path),
        "analyze": lambda: analyze(graph),
        "optimize": lambda: optimize(graph, "inference"),
        "build in torch": lambda: backend.load(backend.lower(graph), weights),
        "verify torch": lambda: verify(graph, [backend], "forward"),
    }[name]
