"""Parameters in emitted Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from netspec_keras import BACKEND

from netspec.graph import Graph, Input, make_node
from netspec.lowering.python.module import load_source
from netspec.ops import Concat, Parameter
from netspec.types import TensorType

TOKENS = Input("tokens", TensorType.of(3, 4))


@pytest.mark.parametrize(
    ("initialize", "low", "high"),
    [
        (0, 0, 0),
        (0.5, 0.5, 0.5),
        ({"normal": {"std": 0.02}}, -0.2, 0.2),
        ({"normal": {"mean": 9, "std": 0.02}}, 8.8, 9.2),
        ({"truncated_normal": {"std": 0.5}}, -1, 1),
        ({"uniform": {"low": 2, "high": 3}}, 2, 3),
    ],
)
def test_an_emitted_model_initializes_parameters_as_the_spec_says(initialize: object, low: float, high: float) -> None:
    # Matters for training from the emitted source: queries that all start at 0 would stay equal.
    q = make_node("q", Parameter.model_validate({"shape": (30, 4), "initialize": {"weight": initialize}}), ())
    artifact = BACKEND.lower(Graph("queries", (TOKENS,), (q, make_node("y", Concat(), (q, TOKENS))), ("y",)).check())
    emitted = getattr(load_source(str(artifact.content), "queries"), artifact.entry)()
    for model in (emitted, keras.Model.from_config(emitted.get_config())):
        start = np.asarray(model.get_layer("q").value)
        assert low <= start.min() <= start.max() <= high
        assert (start.std() > 0) == (low != high)
