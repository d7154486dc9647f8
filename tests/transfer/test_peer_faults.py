"""The comparison with published networks, tests/peers, catches a wrong mapping and a wrong spec: on a toy peer."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netspec.transfer import read_mapping
from tests.peers.carried import Carried, carry, input_shape, smallest
from tests.peers.peer import PeerMissingError, load
from tests.peers.results import kept
from tests.peers.torch_peer import built, peer_of

SPEC = """\
name: toy
input: {shape: [8, 9, 9]}
layers:
  a: {op: conv2d, filters: 8, kernel_size: 3, padding: 1, bias: false}
  a_bn: {op: batch_norm}
  a_relu: {op: relu}
  b: {op: conv2d, filters: 8, kernel_size: 3, padding: 1, bias: false}
  b_bn: {op: batch_norm}
  b_relu: {op: relu}
  average: {op: global_avg_pool2d}
  drop: {op: dropout, rate: 0.5}
  fc: {op: dense, units: 5}
  pool: {op: global_avg_pool2d, inputs: a_relu}
  aux1: {op: dense, units: 5}
  aux2: {op: dense, inputs: average, units: 5}
outputs: [fc]
auxiliary: [aux1, aux2]
"""
MAPPING = """\
spec: toy.yaml
origin: torchvision
source: a test
models: {toy: {}}
lists: {layer: [a, a_bn, a_relu, b, b_bn]}
layers:
  "features.{n}": "${layer[n]}"
  "{head}": "${head}"
"""


class Toy(nn.Module):
    """A network with two convolutions that could be confused, and two heads that could."""

    def __init__(self) -> None:
        super().__init__()
        layers = [(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(2)]
        self.features = nn.Sequential(*(layer for unit in layers for layer in unit))
        self.drop = nn.Dropout()
        self.fc, self.aux1, self.aux2 = (nn.Linear(8, 5) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        first = self.features[:3](x)
        last = self.features[3:](first).mean((2, 3))
        y: Tensor = self.fc(self.drop(last))
        return (y, self.aux1(first.mean((2, 3))), self.aux2(last)) if self.training else y


def _carried(tmp_path: Path, spec: str = SPEC, mapping: str = MAPPING) -> Carried:
    (tmp_path / "toy.yaml").write_text(spec)
    (tmp_path / "mapping.yaml").write_text(mapping)
    found = read_mapping(tmp_path / "mapping.yaml")
    peer = peer_of(built(Toy), input_shape(found, smallest(found)), 0, lambda outputs: outputs[1:])
    return carry(found, "toy", peer, ["torch", "onnx"])


def _error(carried: Carried) -> str:
    with pytest.raises(AssertionError) as caught:
        carried.require()
    return str(caught.value)


def test_a_right_mapping_passes_and_is_kept(tmp_path: Path) -> None:
    carried = _carried(tmp_path)
    carried.require()
    assert [(r.backend, r.output) for r in carried.ratios] == [
        *(("torch", "fc"), ("torch", "aux1"), ("torch", "aux2")),
        ("onnx", "fc"),
    ]
    assert carried.elements == 2 * (8 * 8 * 9 + 4 * 8) + 3 * (8 * 5 + 5)
    assert "| torchvision:toy | toy | 1,351 | 0 | aux2 |" in kept([carried])


def test_rows_of_other_models_stay_while_versions_do(tmp_path: Path) -> None:
    carried = _carried(tmp_path)
    (row,) = (line for line in kept([carried]).splitlines() if " aux2 " in line)
    other, gone = (row.replace("torchvision:toy", f"torchvision:{name}") for name in ("resnet18", "no_longer_mapped"))
    before = "\n".join([kept([carried]).replace("1,351", "9,999"), other, gone])
    after = kept([carried], before)
    assert other in after.splitlines()
    assert "9,999" not in after
    assert gone not in after
    assert other not in kept([carried], before.replace("netspec ", "netspec 0."))


def test_layers_that_are_swapped(tmp_path: Path) -> None:
    for wrong in ("[b, a_bn, a_relu, a, b_bn]", "[a, b_bn, a_relu, b, a_bn]"):
        assert "fc in torch by" in _error(
            _carried(tmp_path, mapping=MAPPING.replace("[a, a_bn, a_relu, b, b_bn]", wrong))
        )


def test_heads_that_are_swapped(tmp_path: Path) -> None:
    error = _error(_carried(tmp_path, SPEC.replace("[aux1, aux2]", "[aux2, aux1]")))
    assert "aux2 in torch by" in error
    assert "aux1 in torch by" in error
    assert "fc in" not in error


def test_a_layer_that_is_another_function(tmp_path: Path) -> None:
    for wrong in ("{op: gelu}", "{op: leaky_relu, negative_slope: 0.001}"):
        assert "fc in torch by" in _error(_carried(tmp_path, SPEC.replace("b_relu: {op: relu}", f"b_relu: {wrong}")))


def test_another_epsilon_shows_in_the_output(tmp_path: Path) -> None:
    error = _error(_carried(tmp_path, SPEC.replace("b_bn: {op: batch_norm}", "b_bn: {op: batch_norm, epsilon: 1e-3}")))
    assert "fc in torch by" in error


@pytest.mark.parametrize(("attribute", "wrong", "right"), [("epsilon", 1e-6, 1e-5), ("update_rate", 0.01, 0.1)])
def test_constants_that_move_the_output_by_little(tmp_path: Path, attribute: str, wrong: float, right: float) -> None:
    spec = SPEC.replace("a_bn: {op: batch_norm}", f"a_bn: {{op: batch_norm, {attribute}: {wrong}}}")
    assert f"a_bn has {attribute} {wrong}, and its peer {right}" in _error(_carried(tmp_path, spec))


def test_a_peer_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PeerMissingError, match=r"torchvision:resnet18 .* pip install 'netspec\[peers\]'"):
        load("torchvision", "resnet18", (3, 224, 224))


def test_weights_of_a_peer_are_those_of_its_seed() -> None:
    with torch.no_grad():
        one, same, other = (peer_of(built(Toy), (8, 9, 9), seed, None).arrays for seed in (0, 0, 1))
    for name, array in one.items():
        if name.endswith("num_batches_tracked"):
            continue
        assert (array == same[name]).all()
        assert (array != other[name]).all()
        assert not ((array == 0) | (array == 1)).any()
