"""Inference in ONNX Runtime: the hand-written PyTorch model as `torch.onnx` exports it, and the model of netspec."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import onnxruntime

from netspec.lowering import at_level, find_backend
from subjects.networks import hand_written, load, pixels, weights_of


class Run:
    """A subject that runs a session once."""

    def __init__(self, session: onnxruntime.InferenceSession, network: str, batch: int) -> None:
        self._session = session
        self._feeds = {session.get_inputs()[0].name: pixels(load(network), batch)}

    def __call__(self) -> None:
        self._session.run(None, self._feeds)

    def output(self) -> Any:
        return self._session.run(None, self._feeds)[0]


def exported_model(network: str, batch: int) -> Run:
    """The export by `torch.onnx.export` with its defaults and a dynamic batch."""
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    model = hand_written(network, weights_of(load(network))).eval()
    example = torch.from_numpy(pixels(load(network), 2))
    program = torch.onnx.export(model, (example,), dynamic_shapes=({0: "batch"},), verbose=False)
    content = io.BytesIO()
    program.save(content)
    return Run(_session(content.getvalue()), network, batch)


def netspec_model(network: str, batch: int) -> Run:
    """The model of `netspec build --backend onnx --optimize inference`."""
    spec = load(network)
    backend = at_level(find_backend("onnx"), "inference")
    return Run(backend.load(backend.lower(spec.graph), weights_of(spec)).native, network, batch)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
