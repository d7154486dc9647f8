"""Written Keras models work without netspec, can be trained, and run on the other engines of Keras."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from netspec_keras import BACKEND

from netspec import reference
from netspec.graph import Graph
from netspec.ops.base import Array
from netspec.spec import load_graph
from netspec.testing.networks import NETWORKS, Chain
from netspec.types import DType

# Runs without netspec: only the written files and Keras are available.
LOAD_ALONE = """
import importlib, sys, numpy as np
sys.modules["netspec"] = sys.modules["netspec_keras"] = None
import keras
engine, *names = sys.argv[1:]
assert keras.config.backend() == engine
for name in names:
    sys.path[0] = name
    importlib.import_module(name)
    model = keras.models.load_model(f"{name}/{name}.keras")
    inputs = np.load(f"{name}/inputs.npz")
    arrays = [inputs[i.name] for i in model.inputs]
    outputs = model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    np.savez(f"{name}/outputs.npz", *outputs)
"""


# JAX compiles each op separately. LLVM's optimization would take most of the time and does not change results.
ENGINE = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}


def weights_of(graph: Graph) -> dict[str, Array]:
    random = np.random.default_rng(1)
    weights = {name: random.standard_normal(w.shape).astype(np.float32) / 4 for name, w in graph.weights.items()}
    return {name: np.abs(a) + 0.5 if name.endswith("variance") else a for name, a in weights.items()}


def inputs_of(graph: Graph, batch: int = 3) -> dict[str, Array]:
    random = np.random.default_rng(2)
    return {i.name: random.standard_normal(i.type.concrete(batch)).astype(np.float32) for i in graph.inputs}


def every_support_layer() -> Graph:
    """A network that uses every support layer."""
    lrn = {"size": 3, "alpha": 1e-2, "beta": 0.6, "k": 1, "convention": "mean"}
    return (
        Chain("all_own", image=(4, 11, 9))
        .add("reflect", "pad2d", padding=1, mode="reflect")
        .add("constant", "pad2d", padding={"top": 1}, value=0.5)
        .add("conv", "conv2d", filters=6, kernel_size=3, groups=2)
        .add("slope", "leaky_relu", negative_slope=0.1)
        .add("lrn", "local_response_norm", **lrn, groups=2)
        .add("lrn_map", "local_response_norm", **lrn, region="map")
        .add("maximum", "max_pool2d", kernel_size=3, stride=1, padding={"top": 2, "left": 1})
        .add("mean", "avg_pool2d", kernel_size=3, stride=1, padding=1)
        .add("skip", "conv2d", filters=6, kernel_size=2, stride=2, dilation=2)
        .add("each", "conv2d", filters=6, kernel_size=2, stride=2, dilation=2, padding=2, groups=6)
        .add("batch", "batch_norm")
        .add("layer", "layer_norm", axes=[1, 2])
        .add("mean_square", "rms_norm", axes=[1, 2])
        .add("adaptive", "adaptive_avg_pool2d", output_size={"height": 3, "width": 2})
        .add("gelu", "gelu", form="tanh")
        .add("flat", "flatten")
        .add("drop", "dropout", rate=0.3, mode="standard")
        .add("length", "reduce_l2", axes=[1], keepdims=True)
        .add("share", "divide", reads=("drop", "length"))
        .add("fc", "dense", units=4, groups=2)
        .graph()
    )


def functions_of_ops() -> Graph:
    """A network of ops for which Keras has no layer, and that are emitted as functions of `keras.ops`."""
    return (
        Chain("functions", image=(6, 4, 5))
        .add("stem", "conv2d", filters=6, kernel_size=3)
        .add("larger", "conv_transpose2d", filters=6, kernel_size=3, groups=2, padding=1)
        .add("between", "resize", scale=1.5, mode="bilinear", coordinates="align_corners")
        .add("back", "resize", size={"height": 4, "width": 5}, mode="nearest", coordinates="half_pixel")
        .add("shuffled", "channel_shuffle", groups=2)
        .add("slope", "prelu")
        .add("half", "slice", part=1, of=2)
        .add("unit", "l2_normalize", axes=[1])
        .add("less", "rescale", scale=-1.0, offset=1.0)
        .add("powers", "exp")
        .add("bounded", "clip", min=0.1)
        .add("between_bounds", "clip", min=0.2, max=20.0)
        .add("root", "power", exponent=0.5)
        .add("steeper", "power", exponent=1.2)
        .add("mean_square", "rms_norm", axes=[1], affine=False)
        .add("wider", "pad", axis=3, end=1, value=0.5)
        .add("rows", "reduce_mean", axes=[2])
        .add("largest", "reduce_max", axes=[2])
        .add("scaled", "layer_scale", reads="rows", axis=1)
        .add("product", "matmul", reads=("rows", "scaled"), transpose_b=True)
        .add("squares", "matmul", reads=("unit", "unit"), transpose_a=True)
        .graph("largest", "product", "squares")
    )


GRAPHS = {
    "all_own": every_support_layer,
    "functions": functions_of_ops,
    "towers": NETWORKS["towers"],
    "branches": NETWORKS["branches"],
    "blocks": lambda: load_graph(Path(__file__).parents[2] / "golden" / "blocks.yaml"),
}


def native(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


# On the other engines, Keras has at most float32. Their gradients are compared with TensorFlow's in float64.
ON_ENGINE = """
sys.path[0] = ""
del sys.modules["netspec"], sys.modules["netspec_keras"]
from netspec_keras import BACKEND
from netspec.errors import BackendError
from netspec.types import DType
from test_keras_saved import GRAPHS, inputs_of, weights_of
for name, build in GRAPHS.items():
    graph = build()
    model = BACKEND.load(BACKEND.lower(graph), weights_of(graph))
    expected = np.load(f"{name}/gradients.npz")
    cotangents = {o: expected[f"cotangent.{o}"] for o in graph.outputs}
    gradients = model.gradients(inputs_of(graph), cotangents)
    for key, array in {**gradients.weights, **gradients.inputs}.items():
        error = np.linalg.norm(array - expected[key]) / np.linalg.norm(expected[key])
        assert array.dtype == np.float32 and error < 1e-4, (name, key, error)
    trained = model.forward_training(inputs_of(graph))
    assert all(np.isfinite(a).all() for a in trained.values())
    for key, array in model.weights().items():
        assert not (key.endswith("running_mean") and np.array_equal(array, weights_of(graph)[key])), key
    try:
        BACKEND.load(BACKEND.lower(graph.astype(DType.FLOAT64)), weights_of(graph))
    except BackendError as error:
        assert "float64" in str(error)
    else:
        raise AssertionError("float64 was accepted")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with each graph as it is written, its inputs, and its gradients on TensorFlow in float64."""
    root = tmp_path_factory.mktemp("written")
    for name, build in GRAPHS.items():
        folder = root / name
        graph, inputs = build(), inputs_of(build())
        source, model = BACKEND.write(BACKEND.lower(graph), weights_of(graph), folder)
        assert (source.name, model.name) == (f"{name}.py", f"{name}.keras")
        assert sorted(p.name for p in folder.iterdir()) == [model.name, source.name]
        np.savez(folder / "inputs.npz", **{k: native(v) for k, v in inputs.items()})
        random = np.random.default_rng(3)
        cotangents = {o: random.standard_normal(graph.type_of(o).concrete(3)) for o in graph.outputs}
        exact = BACKEND.load(BACKEND.lower(graph.astype(DType.FLOAT64)), weights_of(graph))
        gradients = exact.gradients(inputs, cotangents)
        named_cotangents = {f"cotangent.{o}": a for o, a in cotangents.items()}
        np.savez(folder / "gradients.npz", **gradients.weights, **gradients.inputs, **named_cotangents)
    return root


@pytest.mark.parametrize("engine", ["tensorflow", "torch", "jax"])
def test_loads_without_netspec_and_has_gradients_with_it(engine: str, written: Path, tmp_path: Path):
    """In one process, for most of the time is that of importing the engine."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    code = LOAD_ALONE + (ON_ENGINE if engine != "tensorflow" else "")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | ENGINE | {"KERAS_BACKEND": engine, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code, engine, *GRAPHS], cwd=tmp_path, env=environment, check=True)
    for name, build in GRAPHS.items():
        graph, outputs = build(), np.load(tmp_path / name / "outputs.npz")
        expected = reference.evaluate(graph, weights_of(graph), inputs_of(graph))
        for key, output in zip(outputs.files, graph.outputs, strict=True):
            largest = np.abs(expected[output]).max()
            np.testing.assert_allclose(outputs[key], native(expected[output]), rtol=0, atol=1e-5 * largest)


def test_fit_trains_towers():
    """`fit` trains groups, LRN, overlapping pools and dropout: the loss is finite and falls, all weights change."""
    import keras

    graph = NETWORKS["towers"]()
    model = BACKEND.load(BACKEND.lower(graph), weights_of(graph))
    before = model.weights()
    native_model = model.native
    native_model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    x = native(np.random.default_rng(0).standard_normal((16, 3, 23, 19)).astype(np.float32))
    y = np.arange(16) % 4
    history = native_model.fit(x, y, batch_size=8, epochs=12, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
    after = model.weights()
    assert all((after[name] != before[name]).any() for name in graph.weights)
    assert native_model.evaluate(x, y, verbose=0) < history.history["loss"][0]


def test_loading_leaves_the_global_policy_alone():
    import keras

    graph = NETWORKS["branches"]().astype(DType.FLOAT64)
    BACKEND.load(BACKEND.lower(graph), weights_of(graph)).forward(inputs_of(graph))
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == ("float32", "float32")


def test_padding_with_minus_infinity_has_finite_gradients():
    graph = Chain("net", image=(2, 5, 6)).add("pool", "max_pool2d", kernel_size=3, stride=2, padding=1, round="ceil")
    model = BACKEND.load(BACKEND.lower(graph.graph().astype(DType.FLOAT64)), {})
    x = -np.abs(np.random.default_rng(0).standard_normal((2, 2, 5, 6)))
    out = model.forward({"image": x})["pool"]
    gradient = model.gradients({"image": x}, {"pool": np.ones_like(out)}).inputs["image"]
    assert (out < 0).all()
    assert np.isfinite(out).all()
    assert gradient.sum() == out.size


def test_statistics_of_a_single_value_are_finite():
    """The last batch of an epoch may have one sample: its variance is 0, and must not be divided by n - 1 = 0."""
    graph = Chain("net", image=(3,)).add("norm", "batch_norm", running_variance="unbiased").graph()
    model, weights = BACKEND.load(BACKEND.lower(graph), weights_of(graph)), weights_of(graph)
    model.forward_training({"image": np.ones((1, 3), np.float32)})
    np.testing.assert_allclose(model.weights()["norm.running_variance"], 0.9 * weights["norm.running_variance"])


@pytest.mark.parametrize("groups", [2, 3])
def test_grouped_convolution_agrees_with_keras(groups: int):
    import keras
    from netspec_keras.support.grouped_convolution import GroupedConv2D

    x = np.random.default_rng(0).standard_normal((2, 7, 6, 6)).astype(np.float32)
    ours, theirs = (layer(12, 3, strides=2, groups=groups) for layer in (GroupedConv2D, keras.layers.Conv2D))
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), keras.ops.convert_to_numpy(theirs(x)), atol=1e-5)
