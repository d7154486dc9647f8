"""Weight files of all Keras versions; links to other files and damage raise one error."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from netspec.errors import BackendError, WeightsError
from netspec.lowering import ForeignWeights, find_backend

BACKEND = find_backend("keras")


class LayerScale(layers.Layer):
    """The layer of keras.applications.convnext, whose variable has no name."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],))

    def call(self, x: object) -> object:
        return x * self.gamma


def _model() -> keras.Model:
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 3))
    stem = [layers.Conv2D(4, 3, name="stem_conv"), layers.LayerNormalization(name="stem_norm")]
    x = keras.Sequential(stem, name="stem")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="norm")(x)
    x = LayerScale(name="scale")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(2, name="top")(x), name="net")
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    for variable in model.weights:
        variable.assign(keras.random.normal(variable.shape))
    return model


MODEL = _model()
NAMES = {
    **{f"stem.stem_conv.{name}": ("stem", "stem_conv", name) for name in ("kernel", "bias")},
    **{f"stem.stem_norm.{name}": ("stem", "stem_norm", name) for name in ("gamma", "beta")},
    **{f"norm.{name}": ("norm", name) for name in ("beta", "moving_mean", "moving_variance")},
    **{f"top.{name}": ("top", name) for name in ("kernel", "bias")},
    "depthwise.kernel": ("depthwise", "kernel"),
    "scale.gamma": ("scale", "variable"),
}


def _require_model(found: ForeignWeights) -> None:
    assert found.arrays.keys() == NAMES.keys()
    values = {v.path.rstrip("_0123456789"): v.numpy() for v in MODEL.weights}
    for name, path in NAMES.items():
        np.testing.assert_array_equal(found.arrays[name], values["/".join(path)], strict=True)


def _error(path: Path) -> str:
    """Return the error of reading a file."""
    with pytest.raises(WeightsError) as caught:
        BACKEND.read_weights(path)
    assert caught.value.message.startswith(str(path))
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    MODEL.save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def test_files_of_keras_3(tmp_path: Path, archive: Path) -> None:
    found = BACKEND.read_weights(archive)
    _require_model(found)
    assert found.notes == ("arrays that are not of layers, and not read: 2 in optimizer",)
    inner = BACKEND.read_weights(archive, "stem")  # a model that is a layer of another
    assert set(inner.arrays) == {"stem_conv.kernel", "stem_conv.bias", "stem_norm.gamma", "stem_norm.beta"}
    assert inner.notes[1:2] == ("only the weights under stem are read",)
    assert inner.notes[2].startswith("not read: norm.beta, norm.moving_mean")
    path = tmp_path / "net.weights.h5"
    MODEL.save_weights(path)
    _require_model(BACKEND.read_weights(path))
    with h5py.File(path, "a") as file:
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
    found = BACKEND.read_weights(path)
    _require_model(found)
    assert found.notes == ("arrays that are not of layers, and not read: 1 in seed_generator, 2 in optimizer",)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_of_keras_2(tmp_path: Path) -> None:
    MODEL.save(tmp_path / "net.h5")
    _require_model(BACKEND.read_weights(tmp_path / "net.h5"))
    with h5py.File(tmp_path / "net.h5") as whole, h5py.File(tmp_path / "weights.hdf5", "w") as weights:
        weights.attrs.update(whole["model_weights"].attrs)
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)
    _require_model(BACKEND.read_weights(tmp_path / "weights.hdf5"))


def _legacy(path: Path, content: dict[str, dict[str, tuple[int, ...]]]) -> Path:
    """Write a file of layers with arrays of these shapes. Each array is filled with its index."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in content]
        count = 0
        for layer, arrays in content.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in arrays], dtype="S")
            for name, shape in arrays.items():
                group.create_dataset(name, data=np.full(shape, count, np.float32))
                count += 1
    return path


def test_names_that_keras_applications_distributes(tmp_path: Path) -> None:
    content: dict[str, dict[str, tuple[int, ...]]] = {
        "block1_conv1": {"block1_conv1_W_1:0": (3, 3, 3, 4), "block1_conv1_b_1:0": (4,)},  # VGG16, of Keras 1
        "block1_pool": {},
        "bn_conv1": {"bn_conv1_gamma_1:0": (4,), "bn_conv1_running_mean:0": (4,), "bn_conv1_running_std:0": (4,)},
        "conv_dw_1": {"conv_dw_1/depthwise_kernel:0": (3, 3, 4, 1)},  # MobileNet, of Keras 2
        "conv1/bn": {"conv1/bn/gamma:0": (4,)},  # DenseNet121
        "fc": {"fc_3/kernel:0": (4, 2)},  # the fourth layer of this name in its process
        "stem": {"stem_conv/kernel:0": (1,), "stem_norm/gamma:0": (1,)},  # a Sequential model, by TensorFlow
        "scale": {"Variable:0": (4,)},  # ConvNeXt
    }
    found = BACKEND.read_weights(_legacy(tmp_path / "net.h5", content))
    assert found.notes == ()
    assert [(name, int(array.flat[0])) for name, array in found.arrays.items()] == [
        ("block1_conv1.kernel", 0),
        ("block1_conv1.bias", 1),
        ("bn_conv1.gamma", 2),
        ("bn_conv1.moving_mean", 3),
        ("bn_conv1.moving_variance", 4),
        ("conv_dw_1.depthwise_kernel", 5),
        ("conv1_bn.gamma", 6),
        ("fc.kernel", 7),
        ("stem.stem_conv.kernel", 8),
        ("stem.stem_norm.gamma", 9),
        ("scale.gamma", 10),
    ]


def test_layers_that_keras_numbered_are_counted_from_0(tmp_path: Path) -> None:
    names = [f"conv2d_{i}" for i in (95, 96, 104)] + [f"dense_{i}" for i in (7,)] + ["conv2d_wide"]
    found = BACKEND.read_weights(_legacy(tmp_path / "net.h5", {n: {f"{n}/kernel:0": (1,)} for n in names}))
    assert list(found.arrays) == [f"{n}.kernel" for n in ("conv2d", "conv2d_1", "conv2d_9", "dense", "conv2d_wide")]
    assert found.notes == (
        "layers that Keras numbered are counted from 0: conv2d_95 is conv2d",
        "layers that Keras numbered are counted from 0: dense_7 is dense",
    )


def test_layers_of_one_name_are_distinguished_by_their_parents(tmp_path: Path) -> None:
    content = {part: {f"{part}/conv/kernel:0": (1,), f"{part}/norm/gamma:0": (1,)} for part in ("left", "right")}
    found = BACKEND.read_weights(_legacy(tmp_path / "net.h5", content))
    assert list(found.arrays) == ["left.conv.kernel", "left.norm.gamma", "right.conv.kernel", "right.norm.gamma"]


def test_two_arrays_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = _legacy(tmp_path / "net.h5", {"conv": {"conv_W_1:0": (1,), "conv/kernel:0": (1,)}})
    assert "two of its arrays are named conv.kernel" in _error(path)


def test_a_list_of_names_in_several_attributes(tmp_path: Path) -> None:
    path = _legacy(tmp_path / "net.h5", {n: {f"{n}/kernel:0": (1,)} for n in ("a", "b", "c")})
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"] = [b"a", b"b"]
        file.attrs["layer_names1"] = [b"c"]
    assert list(BACKEND.read_weights(path).arrays) == ["a.kernel", "b.kernel", "c.kernel"]


def _without_names(path: Path) -> None:
    """Remove the names of layers, which Keras before 3.9 did not write."""

    def remove_name(_: str, item: h5py.HLObject) -> None:
        if "name" in item.attrs:
            del item.attrs["name"]

    with h5py.File(path, "a") as file:
        file.visititems(remove_name)


def test_layers_without_names_are_named_by_the_configuration_or_not_at_all(tmp_path: Path, archive: Path) -> None:
    path, older = tmp_path / "net.weights.h5", tmp_path / "older.keras"
    MODEL.save_weights(path)
    _without_names(path)
    assert "and the file does not name the layer" in _error(path)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(older, "w") as written:
        written.writestr("config.json", whole.read("config.json"))
        path.write_bytes(whole.read("model.weights.h5"))
        _without_names(path)
        written.write(path, "model.weights.h5")
    _require_model(BACKEND.read_weights(older))


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2, dtype="bfloat16", kernel_initializer="ones", name="fc")(inputs))
    model.layers[1].kernel.assign(np.array([[1.5, -2], [0.0078125, 3e38], [0, 1]], np.float32))
    model.save_weights(tmp_path / "net.weights.h5")
    found = BACKEND.read_weights(tmp_path / "net.weights.h5").arrays["fc.kernel"]
    np.testing.assert_array_equal(found, model.layers[1].kernel.numpy().astype(np.float32), strict=True)


def _external(file: h5py.File, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    file["a"].create_dataset("w", (4,), np.float32, external=[(str(tmp_path / "secret"), 0, 16)])


def _virtual(file: h5py.File, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (4,))
    file["a"].create_virtual_dataset("w", layout)


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (lambda file, _: file["a"].__setitem__("w", h5py.SoftLink("/b/w")), "a/w is a link"),
        (lambda file, path: file["a"].__setitem__("w", h5py.ExternalLink(str(path / "o.h5"), "w")), "a/w is a link"),
        (_external, "a/w is not an array in this file"),
        (_virtual, "a/w is not an array in this file"),
        (lambda file, _: file["a"].create_group("w"), "a/w is not an array in this file"),
        (lambda file, _: file["a"].create_dataset("w", data=["text"]), "a.w is of object"),
        (lambda _, __: None, "/a should have w, but does not"),
        (lambda file, _: file["a"].create_dataset("w", (10**12,), "f4", chunks=(10**6,)), "claims to hold"),
    ],
)
def test_links_and_external_data_are_refused(
    tmp_path: Path, plant: Callable[[h5py.File, Path], None], message: str
) -> None:
    path = _legacy(tmp_path / "net.h5", {"a": {}, "b": {"w": (4,)}})
    with h5py.File(path, "a") as file:
        file["a"].attrs["weight_names"] = [b"w"]
        plant(file, tmp_path)
    assert message in _error(path)


def test_a_group_within_itself_is_an_error(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        file["layers/conv2d/more"] = file["layers"]
        group.attrs["name"] = "conv"
        group["0"] = np.ones(3, np.float32)
    assert "is in it twice" in _error(tmp_path / "net.weights.h5")


def test_every_truncation_is_one_error(tmp_path: Path, archive: Path) -> None:
    MODEL.save_weights(tmp_path / "net.weights.h5")
    for path in (archive, tmp_path / "net.weights.h5"):
        whole = path.read_bytes()
        for length in (100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            _error(path)
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", "{}")
    assert "there is no model.weights.h5 in it" in _error(tmp_path / "net.keras")
    h5py.File(tmp_path / "net.h5", "w").close()
    assert "no layer in it has weights" in _error(tmp_path / "net.h5")


def test_a_file_that_crashes_the_reading_process_is_an_error(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "h5py.py").write_text("import os\nos.abort()\n")  # as the HDF5 library does for some damage
    monkeypatch.syspath_prepend(tmp_path / "path")
    assert "the HDF5 library crashes on it" in _error(archive)


def test_reading_imports_no_framework(archive: Path) -> None:
    code = "import sys; from pathlib import Path; from netspec.transfer import read_weights; "
    code += "read_weights(Path(sys.argv[1])); print(*sorted(m.partition('.')[0] for m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code, str(archive)], capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert "h5py" in loaded
    assert not loaded & {"keras", "tensorflow", "torch", "jax"}


def test_missing_h5py_is_reported(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BackendError, match="h5py, which reads files of Keras, is not installed"):
        BACKEND.read_weights(archive)
