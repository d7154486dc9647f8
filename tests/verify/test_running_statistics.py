"""Running statistics of a check: at the scale of what is normalized, and a wrong epsilon still shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from netspec_torch import BACKEND
from netspec_torch.backend import TorchBackend

from netspec import reference
from netspec.graph import Graph
from netspec.lowering import Artifact
from netspec.ops import BatchNorm
from netspec.spec import load_graph
from netspec.verify import verify
from netspec.verify.cases import cases_of, check_weights_of, with_statistics


class OtherEpsilon(TorchBackend):
    """PyTorch with the epsilon of Keras 2 in the first normalization of a network."""

    def lower(self, graph: Graph) -> Artifact:
        first = next(node.name for node in graph.nodes if isinstance(node.op, BatchNorm))
        nodes = [
            replace(node, op=node.op.model_copy(update={"epsilon": 1e-3})) if node.name == first else node
            for node in graph.nodes
        ]
        return super().lower(replace(graph, nodes=tuple(nodes)))


def test_no_value_grows_with_depth() -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": 34, "size": 32})
    inputs = next(iter(cases_of(graph))).inputs
    drawn = check_weights_of(graph)
    shown = graph.with_outputs(node.name for node in graph.nodes if isinstance(node.op, BatchNorm))
    values = reference.evaluate(shown, with_statistics(graph, drawn, inputs), inputs)
    stds = [float(np.std(value)) for value in values.values()]
    assert 0.3 < min(stds) < max(stds) < 3.0
    assert max(float(np.std(value)) for value in reference.evaluate(shown, drawn, inputs).values()) > 100


def test_a_wrong_epsilon_shows_in_a_whole_network() -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": 18, "size": 32})
    verify(graph, [BACKEND], "forward").require()
    report = verify(graph, [OtherEpsilon()], "forward")
    assert not report.passed
