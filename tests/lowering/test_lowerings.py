"""The table of lowerings, and the command that installs what a backend lacks."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from netspec.errors import BackendError, UnsupportedError
from netspec.graph import Node
from netspec.lowering import Lowerings, find_backend
from netspec.ops import Relu, Softmax, Tanh
from netspec.testing.networks import Chain
from tests.testing.numpy_trainer import NumPyBackend


def test_the_nodes_of_a_graph_are_lowered_in_their_order() -> None:
    table = Lowerings("mine", {Softmax: "it has no exponential"})

    @table.lowers(Relu, Tanh)
    def name(op: Relu | Tanh, node: Node, out: list[str]) -> None:
        out.append(f"{node.name} {op.kind}")

    chain = Chain("chain", facts=(4,)).add("b", "tanh").add("a", "relu")
    names: list[str] = []
    table.lower(chain.graph(), names)
    assert names == ["b tanh", "a relu"]
    with pytest.raises(UnsupportedError, match="the mine backend does not support softmax: it has no exponential"):
        table.lower(chain.add("c", "softmax").graph(), names)


def test_a_backend_of_another_distribution_is_installed_by_its_own_requirements() -> None:
    class Elsewhere(NumPyBackend):
        requires = MappingProxyType({"numpy": "numpy", "no_such_module": "no-such-distribution"})

    with pytest.raises(BackendError, match="needs no-such-distribution, not installed here") as error:
        Elsewhere().require()
    assert error.value.hint == "pip install no-such-distribution"
    assert find_backend("onnx").installation == "pip install 'netspec[onnx]'"
