"""Emitted Keras source: readable, formatted, without name clashes or code from the spec, and made without Keras."""

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from netspec_keras import BACKEND
from netspec_keras.layout import native_name
from netspec_keras.rearrangement import is_rearranging
from netspec_keras.writer import DEEPEST, RESERVED, SUPPORT

from netspec.lowering.python.module import load_source
from netspec.lowering.support import read_support
from netspec.testing.cases import sample_cases
from netspec.testing.networks import NETWORKS, Chain
from netspec.types import DType

ALEXNET_HEAD = '''\
def build_head() -> keras.Model:
    """(N, 224, 224, 3) to (N, 10); 2,208,650 weights."""
    image = keras.Input((224, 224, 3), name="image")
    # (N, 227, 227, 3)
    x = layers.ZeroPadding2D(((0, 3), (0, 3)), name="conv1_pad")(image)
    x = layers.Conv2D(96, 11, strides=4, name="conv1")(x)  # (N, 55, 55, 96)
    x = layers.ReLU(name="relu1")(x)
    x = LocalResponseNormalization(
        5, alpha=0.0001, beta=0.75, k=2.0, groups=2, name="norm1"
    )(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)  # (N, 27, 27, 96)
    # (N, 27, 27, 256)
    x = GroupedConv2D(256, 5, groups=2, padding="same", name="conv2")(x)
    x = layers.Flatten(name="flatten")(x)  # (N, 186624)
    x = StandardDropout(0.5, name="drop")(x)
    x = layers.Dense(10, name="fc")(x)  # (N, 10)
    return keras.Model(image, x, name="head")
'''


def head() -> Chain:
    lrn = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2, "convention": "sum", "groups": 2}
    return (
        Chain("head", image=(3, 224, 224))
        .add("conv1", "conv2d", filters=96, kernel_size=11, stride=4, padding={"bottom": 3, "right": 3})
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", **lrn)
        .add("pool1", "max_pool2d", kernel_size=3, stride=2)
        .add("conv2", "conv2d", filters=256, kernel_size=5, padding=2, groups=2)
        .add("flatten", "flatten")
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("fc", "dense", units=10)
    )


@pytest.mark.parametrize(
    ("padding", "emitted"),
    [
        ({"bottom": 1, "right": 1}, 'padding="same"'),  # Keras crops an odd element at the end
        ({"top": 1, "left": 1}, "layers.Cropping2D"),
        ({"bottom": 1, "left": 1, "right": 1}, "layers.Cropping2D"),  # more than `same` crops
    ],
)
def test_a_transposed_convolution_is_same_if_that_crops_as_much(padding: dict[str, int], emitted: str) -> None:
    chain = Chain("g", x=(2, 4, 5)).add("up", "conv_transpose2d", filters=3, kernel_size=3, stride=2, padding=padding)
    source = str(BACKEND.lower(chain.graph()).content)
    assert [way for way in ('padding="same"', "layers.Cropping2D") if way in source] == [emitted]


def test_the_momentum_of_batch_norm_is_written_without_rounding_error() -> None:
    source = str(BACKEND.lower(Chain("g", x=(2, 4, 5)).add("bn", "batch_norm", update_rate=0.9).graph()).content)
    assert "momentum=0.1," in source  # and not 0.09999999999999998, which is 1 - 0.9


def test_source_reads_as_written_by_hand():
    source = BACKEND.lower(head().graph()).content
    assert source.endswith(ALEXNET_HEAD)
    assert source.startswith('"""head\n\nEmitted by netspec from a layer spec; needs keras alone.\n"""\n')


def test_features_are_reshaped_to_a_gate_without_a_permutation():
    graph = Chain("gate", features=(8,)).add("gate", "reshape", shape=[8, 1, 1]).graph()
    source = BACKEND.lower(graph).content
    assert 'layers.Reshape((1, 1, 8), name="gate")' in source
    assert "Permute" not in source


def test_source_is_formatted_and_lint_clean(tmp_path: Path):
    graphs = {name: build() for name, build in NETWORKS.items()}
    graphs |= {f"{name}_all_outputs": graph.with_outputs(graph.values) for name, graph in graphs.items()}
    graphs |= {f"sample{i}": case.graph for i, case in enumerate(sample_cases())}
    for name, graph in graphs.items():
        (tmp_path / f"{name}.py").write_text(BACKEND.lower(graph).content)
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "--isolated", "--check", str(tmp_path)], check=True)
    subprocess.run([*ruff, "check", "--isolated", "--select", "F,E,I", str(tmp_path)], check=True)


def test_lowering_imports_no_framework():
    code = (
        "import sys; from netspec_keras import BACKEND; from netspec.testing.networks import NETWORKS\n"
        "for build in NETWORKS.values(): BACKEND.lower(build())\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_writer_knows_the_layers_of_support_modules():
    assert SUPPORT["GELU"] == "gelu"
    for layer, module in SUPPORT.items():
        assert layer in read_support("netspec_keras", module).names
    assert not [layer for layer in SUPPORT if layer.startswith("_")], "they are not the writer's to apply"


def test_hostile_names_stay_data():
    hostile = '"""\nimport os; os.abort()  # \\'
    graph = replace(head().graph(), source=hostile)
    tree = ast.parse(BACKEND.lower(graph).content)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"keras"}


@pytest.mark.parametrize("clash", [*RESERVED, "build_net", "x", "print", "Any", "_private", "__dunder__", "conv_pad"])
def test_layer_names_do_not_clash(clash: str):
    graph = (
        Chain("net", image=(4, 6, 5))
        .add("conv", "conv2d", filters=4, kernel_size=3, padding={"bottom": 1}, groups=2)
        .add(clash, "leaky_relu", negative_slope=0.5)
        .add("twice", "add", reads=(clash, clash))
        .graph(clash, "twice")
    )
    weights = {name: np.ones(w.shape, np.float32) for name, w in graph.weights.items()}
    out = BACKEND.load(BACKEND.lower(graph), weights).forward({"image": np.ones((1, 4, 6, 5))})
    np.testing.assert_allclose(out["twice"], 2 * out[clash])


def test_further_outputs_change_nothing_else():
    """Layers and bindings are the same if every value is an output."""
    for build in NETWORKS.values():
        graph = replace(build(), scopes=())  # the outputs of a block may change which instances share a function
        plain, with_outputs = BACKEND.lower(graph), BACKEND.lower(graph.with_outputs(graph.values))
        assert plain.bindings == with_outputs.bindings
        moved = [node.name for node in graph.nodes if is_rearranging(node)]
        in_a_row = any(reader.name in moved for name in moved for reader in graph.readers[name])
        assert _layers(plain.content, in_a_row) <= _layers(with_outputs.content, in_a_row)


def _layers(source: str, in_a_row: bool) -> set[str]:
    """Return the constructor calls of layers in emitted source, without those that restore the layout of outputs.

    Nor are reshapes and permutations that are `in_a_row`, which is fewer layers where nothing reads values between.
    """
    calls = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
    restoring = ("_map'", "_map_channels_first'", "_channels_first'")
    layers = {ast.unparse(c.func) for c in calls if isinstance(c, ast.Call) and isinstance(c.func, ast.Call)}
    rearranging = ("layers.Reshape(", "layers.Permute(") if in_a_row else ()
    others = (text for text in layers if not text.startswith(rearranging))
    return {text for text in others if not any(f"{suffix})" in text for suffix in restoring)}


def test_kernel_after_a_flatten_is_permuted():
    """Row (h, w, c) of the Keras kernel is column (c, h, w) of the canonical kernel."""
    graph = Chain("net", image=(2, 3, 4)).add("flat", "flatten").add("fc", "dense", units=5).graph()
    (kernel, _) = sorted(BACKEND.lower(graph).bindings, key=lambda b: b.path, reverse=True)
    canonical = np.arange(5 * 24.0).reshape(5, 24)
    native = kernel.to_native(canonical)
    assert native.shape == (24, 5)
    h, w, c, unit = 2, 1, 1, 3
    assert native[(h * 4 + w) * 2 + c, unit] == canonical[unit, c * 12 + h * 4 + w]
    np.testing.assert_array_equal(kernel.to_canonical(native), canonical)


def test_depthwise_kernel():
    """Filter c·m + j of the canonical kernel is kernel[:, :, c, j]."""
    graph = Chain("net", image=(3, 5, 5)).add("conv", "conv2d", filters=6, kernel_size=2, groups=3, bias=False).graph()
    artifact = BACKEND.lower(graph)
    assert "layers.DepthwiseConv2D(2, use_bias=False, depth_multiplier=2" in artifact.content
    (kernel,) = artifact.bindings
    canonical = np.arange(24.0).reshape(6, 1, 2, 2)
    assert kernel.to_native(canonical)[1, 0, 2, 1] == canonical[2 * 2 + 1, 0, 1, 0]


def test_weights_of_a_layer_that_no_output_needs():
    graph = Chain("net", image=(2, 4, 4)).add("conv", "conv2d", filters=2, kernel_size=3).add("fc", "flatten")
    graph = graph.add("head", "dense", units=3).graph("conv").astype(DType.FLOAT64)
    weights = {name: np.random.default_rng(0).standard_normal(w.shape) for name, w in graph.weights.items()}
    model = BACKEND.load(BACKEND.lower(graph), weights)
    x = np.ones((2, 2, 4, 4))
    gradients = model.gradients({"image": x}, {"conv": np.ones((2, 2, 2, 2))})
    assert not gradients.weights["head.weight"].any()
    assert gradients.weights["conv.weight"].any()
    np.testing.assert_array_equal(model.weights()["head.weight"], weights["head.weight"])


def test_a_model_deeper_than_pythons_recursion_is_built() -> None:
    chain = Chain("deep", image=(4,))
    for i in range(DEEPEST + 1):
        chain.add(f"abs{i}", "abs")
    artifact = BACKEND.lower(chain.graph())
    build = getattr(load_source(str(artifact.content), "deep"), artifact.entry)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + DEEPEST)
    try:
        assert len(build().operations) == DEEPEST + 2
    finally:
        sys.setrecursionlimit(limit)
    assert "setrecursionlimit" not in str(BACKEND.lower(head().graph()).content)


def test_names_that_keras_chooses_for_functions_do_not_clash_with_layers() -> None:
    """Keras names a call of `keras.ops.sum` sum, sum_1, …, and an operator by its function."""
    graph = (
        Chain("taken", image=(3, 4, 5))
        .add("sum", "conv2d", filters=4, kernel_size=1)
        .add("sum_1", "relu")
        .add("total", "reduce_sum", reads="sum", axes=[2])
        .add("again", "reduce_sum", reads="sum_1", axes=[2])
        .graph("total", "again", "sum_1")
    )
    weights = {name: np.ones(w.shape, np.float32) for name, w in graph.weights.items()}
    keras.utils.clear_session()  # resets the counters of names
    artifact = BACKEND.lower(graph)
    assert artifact.bindings[0].path == "sum-layer/kernel"
    outputs = BACKEND.load(artifact, weights).forward({"image": np.ones((2, 3, 4, 5), np.float32)})
    assert {name: value.shape for name, value in outputs.items()} == {
        "total": (2, 4, 5),
        "again": (2, 4, 5),
        "sum_1": (2, 4, 4, 5),
    }


def test_nor_do_they_clash_with_inputs() -> None:
    names = ("sum", "subtract", "transpose", "max")
    chain = Chain("taken", **dict.fromkeys(names, (3, 4, 5)))
    chain.add("difference", "subtract", reads=names[:2]).add("rest", "subtract", reads=("difference", "max"))
    chain.add("total", "reduce_sum", reads="rest", axes=[1]).add("most", "reduce_max", reads="transpose", axes=[1])
    graph = chain.add("both", "add", reads=("total", "most")).graph()
    keras.utils.clear_session()  # resets the counters of names
    arrays = {name: np.full((2, 3, 4, 5), index, np.float32) for index, name in enumerate(names)}
    outputs = BACKEND.load(BACKEND.lower(graph), {}).forward(arrays)
    np.testing.assert_array_equal(outputs["both"], np.full((2, 4, 5), 3 * (0 - 1 - 3) + 2))


def test_the_names_that_keras_chooses_for_functions_are_reserved() -> None:
    renamed = {"abs": "absolute", "rms_normalization": "rms_norm"}  # functions that Keras gives a different name
    chosen = set()
    for case in sample_cases():
        body = str(BACKEND.lower(case.graph).content).rpartition("\ndef build_")[2]
        chosen |= {renamed.get(name, name) for name in re.findall(r"\bops\.(\w+)\(", body)}
    assert {"sum", "split", "absolute"} < chosen
    assert {name for name in chosen if native_name(name) == name} == set()


@pytest.mark.parametrize(
    ("channels", "attributes", "layer"),
    [
        (8, {"stride": 2}, "PointwiseConv2D(4, 1, strides=2, "),
        (24, {"stride": {"height": 1, "width": 3}, "groups": 2}, "PointwiseConv2D(4, 1, strides=(1, 3), groups=2, "),
        (32, {"stride": 2}, "layers.Conv2D(4, 1, strides=2, "),
        (64, {"stride": 2, "groups": 2}, "GroupedConv2D(4, 1, groups=2, strides=2, "),
        (8, {}, "layers.Conv2D(4, 1, "),
    ],
)
def test_strided_1x1_kernels_avoid_a_memory_error_of_tensorflow(
    channels: int, attributes: dict[str, object], layer: str
) -> None:
    """In TensorFlow 2.21, the gradient of such a kernel writes past its memory, unless 16 divides the channels."""
    graph = Chain("thin", image=(channels, 6, 7)).add("conv", "conv2d", filters=4, kernel_size=1, **attributes).graph()
    assert f"x = {layer}name=" in str(BACKEND.lower(graph).content)
