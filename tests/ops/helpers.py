"""Applies an op to nested lists, as in a network of one node."""

from typing import Any

import numpy as np

from netspec.graph import Input, make_node
from netspec.ops import OPS
from netspec.ops.base import Array
from netspec.types import TensorType


def apply(kind: str, *inputs: Any, weights: dict[str, Any] | None = None, **attributes: Any) -> Array:
    arrays = [np.asarray(x, np.float64) for x in inputs]
    values = [Input(f"x{i}", TensorType.of(*a.shape[1:])) for i, a in enumerate(arrays)]
    node = make_node("layer", OPS[kind].model_validate(attributes), values)
    y = node.op.reference({k: np.asarray(w, np.float64) for k, w in (weights or {}).items()}, *arrays)
    assert y.shape == node.type.concrete(len(arrays[0]))
    return y


def shape(kind: str, *features: tuple[int, ...], **attributes: Any) -> tuple[int, ...]:
    values = [Input(f"x{i}", TensorType.of(*f)) for i, f in enumerate(features)]
    return make_node("layer", OPS[kind].model_validate(attributes), values).type.features
