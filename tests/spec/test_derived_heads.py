"""`extends`: a derived file removes auxiliary heads of its base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.spec import load_graph, read_spec

BASE = """\
name: base
input: {shape: [3, 8, 8]}
blocks:
  head: {outputs: [fc], layers: {average: {op: global_avg_pool2d}, fc: {op: dense, units: 5}}}
layers:
  conv1: {op: conv2d, filters: 4, kernel_size: 1}
  conv2: {op: conv2d, filters: 6, kernel_size: 1}
  fc: {block: head}
  aux1: {block: head, inputs: conv1}
  flat2: {op: global_avg_pool2d, inputs: conv2}
  aux2: {op: dense, units: 5}
outputs: [fc.fc]
auxiliary: [aux1, aux2]
training:
  batch_size: 8
  epochs: 1
  optimizer: {name: sgd, learning_rate: 0.1}
  loss: {name: softmax_cross_entropy, auxiliary: {aux1: 0.3, aux2: 0.2}}
"""
Derive = Callable[[str], Path]


@pytest.fixture
def derive(tmp_path: Path) -> Derive:
    """Write a spec that extends BASE."""
    (tmp_path / "base.yaml").write_text(BASE)

    def write(text: str) -> Path:
        path = tmp_path / "derived.yaml"
        path.write_text(f"name: derived\nextends: base.yaml\n{text}")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("layers: {aux1: null}\n", {"aux2": 0.2}),
        ("layers: {flat2: null, aux2: null}\n", {"aux1": 0.3}),
        ("layers: {aux1: null, flat2: null, aux2: null}\n", {}),
        ("layers: {aux1: null}\ntraining: {loss: {auxiliary: {aux2: 0.5}}}\n", {"aux2": 0.5}),
        ("layers: {aux1: null}\nauxiliary: [aux2]\ntraining: {loss: {auxiliary: {aux1: null}}}\n", {"aux2": 0.2}),
        ("layers: {aux1: null}\ntraining: {loss: {auxiliary: {aux1: null}}}\n", {"aux2": 0.2}),
        ("layers: {aux1: null}\ntraining: null\n", None),
    ],
)
def test_a_head_that_is_removed_leaves_the_recipe_as_well(
    derive: Derive, text: str, weights: dict[str, float] | None
) -> None:
    path = derive(text)
    spec = read_spec(path)
    assert (None if spec.training is None else spec.training.loss.auxiliary) == weights
    if weights is not None:
        assert [head.name for head in load_graph(path).heads] == list(weights)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "layers: {aux1: null}\ntraining: {loss: {auxiliary: {aux1: 0.5}}}\n",
            "there is no auxiliary output 'aux1'",
        ),
        ("layers: {aux1: null}\nauxiliary: [aux1, aux2]\n", "there is no layer 'aux1'"),
    ],
)
def test_what_a_derived_file_says_of_a_removed_head_is_its_own_mistake(derive: Derive, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_graph(derive(text))
    assert message in [diagnostic.message for diagnostic in caught.value.diagnostics]
