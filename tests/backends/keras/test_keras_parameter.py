"""Parameters in emitted Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from netspec_keras import BACKEND

from netspec.graph import Graph, Input, make_node
from netspec.lowering.python.module import load_source
from netspec.ops import Add, Concat, LayerScale, Parameter
from netspec.types import TensorType
from netspec.weights import initialize

TOKENS = Input("tokens", TensorType.of(3, 4))


@pytest.mark.parametrize(
    ("initializer", "low", "high"),
    [
        (0, 0, 0),
        (0.5, 0.5, 0.5),
        ({"normal": {"std": 0.02}}, -0.2, 0.2),
        ({"normal": {"mean": 9, "std": 0.02}}, 8.8, 9.2),
        ({"truncated_normal": {"std": 0.5}}, -1, 1),
        ({"uniform": {"low": 2, "high": 3}}, 2, 3),
    ],
)
def test_an_emitted_model_initializes_parameters_as_the_spec_says(initializer: object, low: float, high: float) -> None:
    # Matters for training from the emitted source: queries that all start at 0 would stay equal.
    q = make_node("q", Parameter.model_validate({"shape": (30, 4), "initialize": {"weight": initializer}}), ())
    artifact = BACKEND.lower(Graph("queries", (TOKENS,), (q, make_node("y", Concat(), (q, TOKENS))), ("y",)).check())
    emitted = getattr(load_source(str(artifact.content), "queries"), artifact.entry)()
    for model in (emitted, keras.Model.from_config(emitted.get_config())):
        start = np.asarray(model.get_layer("q").value)
        assert low <= start.min() <= start.max() <= high
        assert (start.std() > 0) == (low != high)


@pytest.mark.parametrize(
    "values", [np.arange(24.0).reshape(2, 3, 4).tolist(), np.arange(12.0).reshape(3, 4).tolist(), [[[5]], [[6]]], [7]]
)
def test_an_emitted_model_has_the_values_of_the_spec_in_channels_last(values: list[object]) -> None:
    # A map (C, H, W) is (H, W, C) here. Values of fewer axes are repeated along the first ones, channels included.
    image = Input("image", TensorType.of(2, 3, 4))
    q = make_node("q", Parameter.model_validate({"shape": (2, 3, 4), "initialize": {"weight": {"values": values}}}), ())
    graph = Graph("filters", (image,), (q, make_node("y", Add(), (q, image))), ("y",)).check()
    artifact = BACKEND.lower(graph)
    emitted = getattr(load_source(str(artifact.content), "filters"), artifact.entry)()
    expected = np.moveaxis(initialize(graph)["q.weight"], 0, -1)
    for model in (emitted, keras.Model.from_config(emitted.get_config())):
        np.testing.assert_array_equal(np.asarray(model.get_layer("q").value), expected)


def test_an_emitted_layer_scale_has_the_values_of_the_spec() -> None:
    scale = LayerScale.model_validate({"initialize": {"weight": {"values": [1, 2, 3]}}})
    artifact = BACKEND.lower(Graph("scaled", (TOKENS,), (make_node("s", scale, (TOKENS,)),), ("s",)).check())
    emitted = getattr(load_source(str(artifact.content), "scaled"), artifact.entry)()
    for model in (emitted, keras.Model.from_config(emitted.get_config())):
        np.testing.assert_array_equal(np.asarray(model.get_layer("s").gain), [1, 2, 3])
