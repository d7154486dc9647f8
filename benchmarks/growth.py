"""What a layer costs in a chain of a hundred, a thousand and ten thousand: the same in each, if nothing is quadratic.

Target: a chain of 1,000 layers is checked in under one second.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from paired import seconds

from netspec.graph import Graph
from netspec.graph.analysis import analyze
from netspec.lowering import find_backend
from netspec.spec import ModelSpec, elaborate, load_graph, read_spec

RUNS = {100: 9, 1_000: 5, 10_000: 3}  # layers: how often each stage is timed
BLOCK = (
    "{{op: conv2d, filters: 4, kernel_size: 3, padding: 1, bias: false}}",
    "{{op: batch_norm}}",
    "{{op: relu}}",
    "{{op: add, inputs: [layer{before}, layer{beginning}]}}",
)


def chain(layers: int) -> str:
    """A residual chain as YAML: convolutions, normalizations, sums with what came three layers before."""
    lines = ["name: chain", "input: {shape: [4, 8, 8]}", "layers:", f"  layer0: {BLOCK[0].format()}"]
    for i, text in enumerate(islice(cycle(BLOCK), layers - 1), start=1):
        lines.append(f"  layer{i}: {text.format(before=i - 1, beginning=max(0, i - 4))}")
    return "\n".join([*lines, ""])


def stages(path: Path) -> dict[str, Callable[[], object]]:
    """What is timed, for one file; each stage on the result of the one before."""
    spec: ModelSpec = read_spec(path)
    graph: Graph = elaborate(spec)
    return {
        "read and validate": lambda: read_spec(path),
        "elaborate": lambda: elaborate(spec),
        "check: both": lambda: load_graph(path),
        "analyze": lambda: analyze(graph),
        **{f"lower to {name}": lowering(name, graph) for name in ("torch", "keras", "onnx")},
    }


def lowering(name: str, graph: Graph) -> Callable[[], object]:
    backend = find_backend(name)
    return lambda: backend.lower(graph)


def main() -> None:
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for layers, runs in RUNS.items():
            path = Path(folder) / f"chain{layers}.yaml"
            path.write_text(chain(layers), encoding="utf-8")
            for stage, action in stages(path).items():
                action()
                gc.collect()
                gc.freeze()  # a process has one network: what the others hold is not to be walked for each
                found.setdefault(stage, {})[layers] = statistics.median(seconds(action) for _ in range(runs))
    head = "".join(f"{f'{layers:,}':>12}" for layers in RUNS)
    print(f"{'ms for layers':18}{head}   a layer in the longest : in 1,000")
    for stage, times in found.items():
        row = "".join(f"{1e3 * time:12.1f}" for time in times.values())
        print(f"{stage:18}{row}{times[10_000] / times[1_000] / 10:13.2f}")
    print(f"1,000 layers are checked in {found['check: both'][1_000]:.2f} s; the target is 1 s")


if __name__ == "__main__":
    main()
