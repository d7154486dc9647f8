"""Arrays of other programs become the weights of a spec; every name that does not fit is reported."""

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import WeightsError
from netspec.transfer import Transfer, read_mapping, transfer

SPEC = """\
name: net
input: {shape: [2, 6, 6]}
layers:
  conv: {op: conv2d, filters: 3, kernel_size: 3}
  bn: {op: batch_norm}
  flat: {op: flatten}
  fc: {op: dense, units: 4}
"""
MAPPING = """\
spec: net.yaml
origin: torchvision
source: a test
models: {net: {}}
layers:
  "features.0": conv
  "features.{n}": "${'bn' if n + 1 == 2 else 'none'}"
  "classifier": fc
"""
Arrays = dict[str, np.ndarray]


def _arrays() -> Arrays:
    draw = np.random.default_rng(0).standard_normal
    return {
        "features.0.weight": draw((3, 2, 3, 3)),
        "features.0.bias": draw(3),
        "features.1.weight": draw(3),
        "features.1.bias": draw(3),
        "features.1.running_mean": draw(3),
        "features.1.running_var": draw(3),
        "features.1.num_batches_tracked": np.array(7),
        "classifier.weight": draw((4, 48, 1, 1)),
        "classifier.bias": draw(4),
    }


def _transfer(tmp_path: Path, arrays: Arrays, mapping: str = MAPPING) -> Transfer:
    (tmp_path / "net.yaml").write_text(SPEC)
    (tmp_path / "mapping.yaml").write_text(mapping)
    return transfer(read_mapping(tmp_path / "mapping.yaml"), "net", arrays)


def _error(tmp_path: Path, arrays: Arrays, mapping: str = MAPPING) -> str:
    with pytest.raises(WeightsError) as caught:
        _transfer(tmp_path, arrays, mapping)
    return str(caught.value)


def test_every_weight_arrives_under_its_own_name(tmp_path: Path) -> None:
    arrays = _arrays()
    found = _transfer(tmp_path, arrays)
    assert list(found.weights) == list(found.graph.weights)
    assert found.names["features.1.running_var"] == "bn.running_variance"
    assert found.kept == ("features.1.num_batches_tracked",)
    for theirs, ours in found.names.items():
        assert found.weights[ours].dtype == np.float32
        np.testing.assert_array_equal(found.weights[ours].ravel(), arrays[theirs].astype(np.float32).ravel())


def test_a_prefix_of_every_name_is_removed(tmp_path: Path) -> None:
    inner = {f"model.{name}": array for name, array in _arrays().items()}
    found = _transfer(tmp_path, inner)
    assert found.wrapper == "model."
    assert found.names == _transfer(tmp_path, _arrays()).names
    assert _transfer(tmp_path, _arrays()).wrapper == ""
    error = _error(tmp_path, inner | {"loss.weight": np.ones(4)})
    assert "1 of the file that no rule takes:\n  loss.weight" in error
    assert "the weights of net are under 'model': `--under model` reads those alone" in error
    average = {f"ema.{name}": array for name, array in inner.items()}
    error = _error(tmp_path, average | {f"net._orig_mod.{name}": array for name, array in _arrays().items()})
    assert "`--under ema.model` reads those alone" in error
    compiled = _transfer(tmp_path, {f"net._orig_mod.{name}": array for name, array in _arrays().items()})
    assert compiled.wrapper == "net._orig_mod."
    assert compiled.names == _transfer(tmp_path, _arrays()).names
    assert "model." in _error(tmp_path, inner | {"conv2.weight": np.ones(4), "classifier.weight": np.ones(4)})
    assert "other.features.0.weight" in _error(
        tmp_path, {"other.features.0.weight": np.ones(4), "features.0.weight": np.ones(4)}
    )


def test_a_file_without_the_classifier_is_distinguished_from_one_that_lacks_other_weights(tmp_path: Path) -> None:
    arrays = {name: array for name, array in _arrays().items() if not name.startswith("classifier")}
    error = _error(tmp_path, arrays)
    assert "2 of net that the file lacks:\n  fc.weight\n  fc.bias" in error
    assert "the file ends before fc: it is of the network without its classifier" in error
    for lacking in ("features.0", "classifier.bias"):
        error = _error(tmp_path, {name: array for name, array in _arrays().items() if not name.startswith(lacking)})
        assert "that the file lacks" in error
        assert "classifier, and" not in error
    assert "classifier, and" not in _error(tmp_path, arrays | {"fc.weighs": np.ones(3)})


def test_what_is_left_over_on_either_side_is_listed_with_the_nearest(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["fc.weighs"] = arrays.pop("classifier.weight")
    error = _error(tmp_path, arrays)
    assert "1 of the file that no rule takes:\n  fc.weighs (did you mean fc.weight?)" in error
    assert "1 of net that the file lacks:\n  fc.weight (did you mean fc.weighs?)" in error


def test_a_layer_beyond_the_rule_is_left_over(tmp_path: Path) -> None:
    assert "features.2.weight" in _error(tmp_path, _arrays() | {"features.2.weight": np.ones(3)})
    assert "features.x.weight" in _error(tmp_path, _arrays() | {"features.x.weight": np.ones(3)})


def test_a_position_beyond_a_list_is_of_another_rule(tmp_path: Path) -> None:
    mapping = MAPPING.replace("${'bn' if n + 1 == 2 else 'none'}", "${layer[n]}") + "lists: {layer: [none, bn]}\n"
    assert _transfer(tmp_path, _arrays(), mapping).names["features.1.bias"] == "bn.bias"
    assert "features.2.weight" in _error(tmp_path, _arrays() | {"features.2.weight": np.ones(3)}, mapping)


def test_ignored_weights_and_constants_for_missing_ones(tmp_path: Path) -> None:
    arrays = _arrays() | {"aux.deep.weight": np.ones(3)}
    del arrays["features.1.weight"]
    found = _transfer(tmp_path, arrays, MAPPING + 'ignored: ["aux.{rest*}"]\nconstants: {"{layer}.weight": 1}\n')
    assert found.ignored == ("aux.deep.weight",)
    assert found.constants == {"bn.weight": 1}
    assert found.weights["bn.weight"].tolist() == [1, 1, 1]


def test_a_name_with_two_rules_and_a_weight_with_two_names_are_errors(tmp_path: Path) -> None:
    error = _error(tmp_path, _arrays(), MAPPING + '  "classifier.{x}": "bn.${x}"\n')
    assert "classifier.bias would be bn.bias by classifier.{x} → bn.${x} and fc.bias by classifier → fc" in error
    error = _error(tmp_path, _arrays() | {"fc.bias": np.ones(4)}, MAPPING + '  "fc": fc\n')
    assert "1 of net written twice:\n  fc.bias is written by classifier.bias and fc.bias" in error


def test_shapes_kinds_and_values(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["features.0.weight"] = arrays["features.0.weight"][:2]
    arrays["features.0.bias"] = np.array([0, np.inf, 0])
    arrays["classifier.bias"] = np.arange(4)
    arrays["features.1.bias"] = np.full(3, 1e300)
    error = _error(tmp_path, arrays)
    assert "features.0.weight: shape (2, 2, 3, 3), and conv.weight has (3, 2, 3, 3)" in error
    assert "features.0.bias: holds NaN or infinite values" in error
    assert "features.1.bias: holds NaN or infinite values, or some beyond float32" in error
    assert "classifier.bias: expected floating-point numbers, received int64" in error
