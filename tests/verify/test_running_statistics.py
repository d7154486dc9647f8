"""Running statistics and gates in a check: they have the scale of their inputs, and a wrong epsilon is detected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from netspec_torch import BACKEND
from netspec_torch.backend import TorchBackend

from netspec import reference
from netspec.graph import Graph
from netspec.lowering import Artifact, find_backend
from netspec.ops import BatchNorm
from netspec.spec import load_graph
from netspec.testing.networks import Chain
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


def highway(layers: int) -> Graph:
    """Return convolutional highway layers that read pixels, followed by logits."""
    chain = Chain("highway", image=(1, 12, 12)).add("x0", "conv2d", filters=8, kernel_size=3, padding=1)
    for i in range(layers):
        chain.add(f"h{i}", "conv2d", f"x{i}", filters=8, kernel_size=3, padding=1).add(f"candidate{i}", "relu")
        chain.add(f"t{i}", "conv2d", f"x{i}", filters=8, kernel_size=3, padding=1).add(f"gate{i}", "sigmoid")
        chain.add(f"carried{i}", "rescale", scale=-1, offset=1)
        chain.add(f"taken{i}", "multiply", (f"candidate{i}", f"gate{i}"))
        chain.add(f"kept{i}", "multiply", (f"x{i}", f"carried{i}")).add(f"x{i + 1}", "add", (f"taken{i}", f"kept{i}"))
    return chain.add("flat", "flatten").add("fc", "dense", units=5).add("prob", "softmax").graph()


def test_gates_are_neither_open_nor_shut_and_nothing_else_is_made_small() -> None:
    graph = highway(9)
    inputs = next(iter(cases_of(graph))).inputs
    shown = graph.with_outputs(("t0", "t8", "h8", "fc"))
    values = reference.evaluate(shown, with_statistics(graph, check_weights_of(graph), inputs), inputs)
    assert max(float(np.std(values[name])) for name in ("t0", "t8", "fc")) < 3.0
    assert float(np.std(values["h8"])) > 10.0


def encoder(out: str) -> Graph:
    """Return a network that computes one number of an image by a convolution."""
    chain = Chain("encoder", image=(1, 12, 12)).add("conv", "conv2d", filters=6, kernel_size=3).add("relu", "relu")
    chain.add("flat", "flatten").add("fc", "dense", units=1).add("half", "rescale", scale=0.5)
    return chain.add("out", out).graph()


def variational() -> Graph:
    """Return the encoder of a variational autoencoder: two exponentials and a sum read the logarithm of a variance."""
    chain = Chain("variational", image=(1, 12, 12)).add("flat", "flatten").add("mean", "dense", units=4)
    chain.add("log_variance", "dense", "flat", units=4).add("half", "rescale", scale=0.5).add("std", "exp")
    chain.add("z", "add", ("mean", "std")).add("variance", "exp", "log_variance")
    return chain.add("kl", "subtract", ("variance", "log_variance")).add("out", "concat", ("z", "kl")).graph()


@pytest.mark.parametrize(
    "graph",
    [highway(9), encoder("sigmoid"), encoder("exp"), variational()],
    ids=["gates", "sigmoid", "exp", "variational"],
)
def test_what_saturates_or_overflows_at_the_scale_of_pixels_is_one_function(graph: Graph) -> None:
    verify(graph, [BACKEND, find_backend("onnx")], "forward").require()


def test_sines_of_thirty_times_what_their_kernels_give_are_one_function() -> None:
    # Sitzmann et al. 2020, section 3.2: rounding grows thirtyfold in each layer unless kernels are that much smaller.
    chain = Chain("siren", image=(2,))
    for i in range(5):
        chain.add(f"fc{i}", "dense", units=32).add(f"omega{i}", "rescale", scale=30.0).add(f"sin{i}", "sin")
    graph = chain.add("rgb", "dense", units=3).graph("rgb")
    verify(graph, [find_backend("torch"), find_backend("onnx")], "forward").require()
