import resource
import signal
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from netspec.errors import NetspecError, ShapeError, WeightsError
from netspec.graph import Graph, Input, make_node
from netspec.ops import Conv2d, Dense
from netspec.ops.initializers import draw
from netspec.passes import optimize
from netspec.testing.networks import Chain, towers
from netspec.types import TensorType
from netspec.weights import initialize, load_weights, read_arrays, save_weights, stream


def test_saved_weights_are_loaded_unchanged(tmp_path: Path) -> None:
    graph = towers()
    weights = initialize(graph, seed=3)
    loaded = load_weights(save_weights(tmp_path / "w.safetensors", graph, weights), graph)
    assert list(loaded) == list(graph.weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_a_layer_more_leaves_the_others_as_they_were() -> None:
    short = Chain("a", x=(5,)).add("fc1", "dense", units=4).add("fc2", "dense", units=4).graph()
    long = (
        Chain("b", x=(5,))
        .add("fc1", "dense", units=4)
        .add("new", "dense", units=4)
        .add("fc2", "dense", units=4)
        .graph()
    )
    ours, theirs = initialize(short, 7), initialize(long, 7)
    for name, array in ours.items():
        np.testing.assert_array_equal(theirs[name], array)
    assert not np.array_equal(ours["fc2.weight"], theirs["new.weight"])
    assert not np.array_equal(ours["fc1.weight"], initialize(short, 8)["fc1.weight"])


def test_different_keys_give_different_streams() -> None:
    """Even if the joined parts of their keys are the same text."""
    keys = [(1, "2", "ab", "c"), (1, "2", "a", "bc"), (1, "2a", "bc"), (12, "ab", "c")]
    assert len({stream(seed, *parts).random() for seed, *parts in keys}) == len(keys)


def moments(
    initializer: object, shape: tuple[int, ...] = (200, 500), fan_in: int = 50, fan_out: int = 150
) -> np.ndarray:
    op = Dense.model_validate({"units": 1, "initialize": {"weight": initializer}})
    return draw(op.initialize["weight"], shape, fan_in, fan_out, stream(0, "test"))


def test_distributions_are_what_they_say() -> None:
    # 1e5 draws: a standard deviation is known to 0.3 %, five of those are allowed.
    close = {"rel": 0.012}
    assert (moments(0.5) == 0.5).all()
    assert moments({"normal": {"std": 0.01, "mean": 1}}).std() == pytest.approx(0.01, **close)
    assert moments({"variance_scaling": {"scale": 2}}).std() == pytest.approx((2 / 50) ** 0.5, **close)
    average = {"variance_scaling": {"fan": "average", "distribution": "uniform"}}
    assert moments(average).std() == pytest.approx((1 / 100) ** 0.5, **close)
    assert np.abs(moments(average)).max() <= (3 / 100) ** 0.5
    truncated = {"variance_scaling": {"fan": "out", "distribution": "truncated_normal"}}
    assert moments(truncated).std() == pytest.approx((1 / 150) ** 0.5, **close)
    assert np.abs(moments({"truncated_normal": {"std": 2, "cut": 1.5}})).max() <= 3.0
    uniform = moments({"uniform": {"low": -3, "high": -1}})
    assert -3 <= uniform.min() < -2.99
    assert -1.01 < uniform.max() < -1


def test_values_are_repeated_along_axes_as_numpy_broadcasts() -> None:
    blur = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    op = Conv2d.model_validate(
        {
            "filters": 4,
            "kernel_size": 3,
            "groups": 4,
            "initialize": {"weight": {"values": blur}, "bias": {"values": [7]}},
        }
    )
    x = Input("x", TensorType.of(4, 5, 5))
    weights = initialize(Graph("blur", (x,), (make_node("conv", op, [x]),), ("conv",)).check(), seed=1)
    np.testing.assert_array_equal(weights["conv.weight"], np.array([[blur]] * 4, np.float32))
    np.testing.assert_array_equal(weights["conv.bias"], np.full(4, 7, np.float32))
    assert weights["conv.weight"].flags.writeable
    np.testing.assert_array_equal(moments({"values": [[1], [2]]}, (2, 3)), [[1, 1, 1], [2, 2, 2]])


@pytest.mark.parametrize("values", [[1, 2], [[1, 2, 1]] * 2, [[[[[1]]]]]])
def test_values_of_another_shape_are_refused(values: object) -> None:
    op = Conv2d.model_validate({"filters": 4, "kernel_size": 3, "initialize": {"weight": {"values": values}}})
    x = Input("x", TensorType.of(3, 5, 5))
    with pytest.raises(ShapeError, match=r"do not broadcast to its 'weight' of shape \[4, 3, 3, 3\]"):
        _ = make_node("conv", op, [x]).weights


def test_a_truncation_that_leaves_next_to_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.1"):
        moments({"truncated_normal": {"std": 1, "cut": 1e-7}})


def test_alexnets_biases_start_as_section_5_says() -> None:
    op = Conv2d.model_validate({"filters": 2, "kernel_size": 1, "initialize": {"bias": 1}})
    x = Input("x", TensorType.of(1, 1, 1))
    weights = initialize(Graph("g", (x,), (make_node("conv", op, [x]),), ("conv",)))
    np.testing.assert_array_equal(weights["conv.bias"], [1, 1])


def test_unusable_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    graph = towers()
    path = save_weights(tmp_path / "w.safetensors", graph, initialize(graph))
    whole = path.read_bytes()
    arrays = load_file(path)

    def refused(message: str) -> None:
        with pytest.raises(WeightsError, match=message) as error:
            load_weights(path, graph)
        assert str(path) in error.value.message

    path.write_bytes(whole[: len(whole) // 2])
    refused("not a readable safetensors file")
    path.write_bytes(b"\x80\x04pickled")
    refused("not a readable safetensors file")
    save_file({**arrays, "extra.weight": arrays["fc1.bias"]}, path)
    refused("unexpected: extra.weight")
    save_file({k: v for k, v in arrays.items() if k != "fc1.bias"}, path)
    refused("missing: fc1.bias")
    save_file({**arrays, "fc1.bias": np.zeros(9, np.float32)}, path)
    refused(r"fc1.bias: expected shape \(6,\), received \(9,\)")
    save_file({**arrays, "fc1.bias": np.zeros(6, np.int32)}, path)
    refused("expected floating-point numbers, received int32")
    save_file({**arrays, "fc1.bias": np.full(6, np.nan, np.float32)}, path)
    refused("holds NaN")
    path.unlink()
    refused("there is no such file")
    path.mkdir()
    refused("is a directory")


def test_values_that_were_found_finite_when_written_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = towers()
    weights = initialize(graph)
    path = save_weights(tmp_path / "finite.safetensors", graph, weights)
    copied = tmp_path / "copied.safetensors"
    save_file(load_file(path), copied)
    diverged = save_weights(tmp_path / "nan.safetensors", graph, weights | {"fc1.bias": np.full(6, np.nan)})
    with pytest.raises(WeightsError, match=r"fc1\.bias: holds NaN"):
        load_weights(diverged, graph)
    is_finite = Mock(return_value=True)
    monkeypatch.setattr("netspec.weights._is_finite", is_finite)
    load_weights(path, graph)
    is_finite.assert_not_called()
    load_weights(copied, graph)  # by another program, which did not copy the record
    assert is_finite.call_count == len(graph.weights)


def test_another_networks_file_is_named(tmp_path: Path) -> None:
    other = Chain("other", x=(5,)).add("fc", "dense", units=4).graph()
    path = save_weights(tmp_path / "w.safetensors", other, initialize(other))
    with pytest.raises(WeightsError) as error:
        load_weights(path, towers())
    assert error.value.hint == "the file was written for the spec 'other'"


def test_an_unwritable_folder_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    graph = towers()
    with pytest.raises(NetspecError, match="cannot write"):
        save_weights(blocked / "w.safetensors", graph, initialize(graph))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    graph = towers()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does: a write fails instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(NetspecError, match=r"cannot write .*w\.safetensors: .*File too large"):
            save_weights(tmp_path / "w.safetensors", graph, initialize(graph))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.iterdir())


def test_the_weights_of_an_optimized_network_are_not_taken_for_the_specs(tmp_path: Path) -> None:
    graph = towers()  # whose folded weights have the names and shapes of its own
    path = save_weights(tmp_path / "w.safetensors", graph, initialize(graph), optimize(graph, "inference"))
    assert load_file(path).keys() == graph.weights.keys()
    with pytest.raises(WeightsError) as error:
        load_weights(path, graph)
    assert error.value.message == (
        f"{path}: these are weights of towers after --optimize inference, which are not the spec's"
    )
    assert error.value.hint == "`netspec build` without --optimize writes the spec's own"


def test_weights_that_optimization_does_not_change_are_the_specs(tmp_path: Path) -> None:
    graph = towers()
    weights = initialize(graph)
    trained = save_weights(tmp_path / "t.safetensors", graph, weights, optimize(graph, "training")).read_bytes()
    assert trained == save_weights(tmp_path / "n.safetensors", graph, weights).read_bytes()
    plain = Chain("plain", x=(5,)).add("fc", "dense", units=4).graph()
    path = save_weights(tmp_path / "p.safetensors", plain, initialize(plain), optimize(plain, "inference"))
    assert load_weights(path, plain).keys() == plain.weights.keys()


def test_writing_to_what_was_loaded_leaves_the_file_and_the_next_reader_alone(tmp_path: Path) -> None:
    graph = towers()
    path = save_weights(tmp_path / "w.safetensors", graph, initialize(graph))
    before = path.read_bytes()
    first = load_weights(path, graph)
    for array in first.values():
        array[...] = 7
    assert path.read_bytes() == before
    assert not any((array == 7).all() for array in load_weights(path, graph).values())


def test_loaded_weights_survive_the_replacement_of_their_file(tmp_path: Path) -> None:
    graph = towers()
    path = save_weights(tmp_path / "w.safetensors", graph, initialize(graph, 1))
    loaded = load_weights(path, graph)
    save_weights(path, graph, initialize(graph, 2))
    for name, array in initialize(graph, 1).items():
        np.testing.assert_array_equal(loaded[name], array)


def test_numbers_at_odd_addresses_are_copied(tmp_path: Path) -> None:
    graph = Chain("g", x=(3,)).add("fc", "dense", units=2, bias=False).graph()
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    header = b'{"fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    header += b" " * ((1 - len(header)) % 4)
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + array.tobytes())
    (loaded,) = load_weights(path, graph).values()
    np.testing.assert_array_equal(loaded, array)
    assert loaded.flags.aligned


def test_numbers_whose_squares_overflow_are_finite(tmp_path: Path) -> None:
    graph = towers()
    weights = initialize(graph)
    weights["fc1.bias"] = np.full_like(weights["fc1.bias"], 1e30)
    loaded = load_weights(save_weights(tmp_path / "w.safetensors", graph, weights), graph)
    np.testing.assert_array_equal(loaded["fc1.bias"], weights["fc1.bias"])


def test_files_of_other_libraries_get_a_hint_to_import_them(tmp_path: Path) -> None:
    graph = towers()
    path = tmp_path / "w.safetensors"
    save_file({"conv.kernel": np.ones(3, np.float32)}, path)
    with pytest.raises(WeightsError) as error:
        load_weights(path, graph)
    assert (
        error.value.hint == "netspec did not write this file; `netspec weights import` reads those of other libraries"
    )
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError) as error:
        load_weights(tmp_path / "w.pth", graph)
    assert error.value.hint == "`netspec weights import` reads those of other libraries"


def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    graph = towers()
    arrays = {name: array.astype(np.float64) for name, array in initialize(graph).items()}
    arrays["fc1.bias"][0] = 1e300
    path = tmp_path / "w.safetensors"
    save_file(arrays, path)
    with pytest.raises(WeightsError, match=r"fc1\.bias: holds values beyond the range of float32"):
        load_weights(path, graph)


def test_an_onnx_model_in_place_of_weights_is_told_from_files_of_other_libraries(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x0a\x12\x07netspec" * 9)
    with pytest.raises(WeightsError) as caught:
        read_arrays(path)
    assert caught.value.hint == "give the .safetensors that `netspec build` wrote with the model"
