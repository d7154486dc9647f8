"""Ahead-of-time compilation of an emitted module into a package of machine code and weights."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import aoti_compile_and_package, aoti_load_package

from netspec.errors import BackendError
from netspec.files import write_whole
from netspec.lowering import Artifact, Gradients
from netspec.ops.base import Array, Weights
from netspec.types import DType
from netspec_torch.model import TorchModel
from netspec_torch.packing import PackWeights

EXAMPLE = 2  # batch size of the example inputs of the export, which would specialize on a batch of 1
MISSING_COMPILER = "InvalidCxxCompiler"  # the error's name, in the message of the error that wraps it


class CompiledModel(TorchModel):
    """A module compiled for this machine's processor, at inference only.

    Args:
        artifact: an artifact of this backend.
        weights: canonical arrays.
        batch_size: number of samples that the machine code takes; None for any number.
        donated: whether the model may keep the arrays without a copy.

    Attributes:
        native: the loaded package, which is called like the module.

    Raises:
        BackendError: torch cannot export or compile the module, or there is no C++ compiler.
    """

    def __init__(
        self, artifact: Artifact, weights: Weights, batch_size: int | None = None, *, donated: bool = False
    ) -> None:
        super().__init__(artifact, weights, donated=donated)
        self._module, self._batch_size = self.native, batch_size
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "model.pt2"
            compile_module(self, package, batch_size)
            self.native = aoti_load_package(str(package))  # needs the file only while it loads

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name. Samples are divided into batches of the size that the machine code takes, if it is one.

        The last of these is filled up with zeros, which are cut off again.
        """
        tensors = self._tensors(inputs)
        samples, size = len(tensors[0]), self._batch_size
        with torch.no_grad():
            if size is None:
                return self._named(self._call(tensors))
            parts = [
                self._call([_filled(tensor[start : start + size], size) for tensor in tensors])
                for start in range(0, samples, size)
            ]
            return self._named([torch.cat(outputs)[:samples] for outputs in zip(*parts, strict=True)])

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Raise BackendError: a compiled model only infers."""
        raise BackendError("a compiled model has no training mode", "build it without --compile")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Raise BackendError: a compiled model only infers."""
        raise BackendError("a compiled model gives no gradients", "build it without --compile")

    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name."""
        state = self._module.state_dict()
        return self.artifact.to_canonical({b.path: state[b.path].numpy() for b in self.artifact.bindings})


def compile_module(model: TorchModel, path: Path, batch_size: int | None = None) -> None:
    """Compile a loaded model's module into a `.pt2` package, which `aoti_load_package` reads.

    Args:
        model: a loaded model that is not compiled.
        path: the file to write.
        batch_size: number of samples that the machine code takes; None for any number.

    Raises:
        BackendError: torch cannot export or compile the module, or there is no C++ compiler.
    """
    graph = model.artifact.graph
    dtype = getattr(torch, graph.dtype.value)
    example = tuple(torch.zeros(i.type.concrete(batch_size or EXAMPLE), dtype=dtype) for i in graph.inputs)
    free = None if batch_size else [{0: torch.export.Dim("batch", min=1)} for _ in example]
    options = _options(graph.dtype, batch_size)
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(model.native, example, dynamic_shapes=free)
            aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
    except Exception as error:  # the errors of export and compilation have no common class
        summary = next(iter(str(error).strip().splitlines()), type(error).__name__)
        compiler_hint = (
            "install a C++ compiler, g++ or the one that CXX names; or " if MISSING_COMPILER in summary else ""
        )
        raise BackendError(
            f"torch cannot compile {graph.name}: {summary}", f"{compiler_hint}build without --compile"
        ) from error


def write_package(artifact: Artifact, weights: Weights, path: Path, batch_size: int | None = None) -> Path:
    """Compile an artifact into the file `path`, whose name ends in `.pt2`; no partial file is left on failure."""
    model = TorchModel(artifact, weights)
    return write_whole(path, lambda temporary: compile_module(model, temporary, batch_size))


def _options(dtype: DType, batch_size: int | None) -> dict[str, Any]:
    """Options of Inductor that freeze the weights, so that they are packed for their kernels once, not at each call.

    Not in float64: frozen float64 layers would be compiled to oneDNN kernels that do not exist.
    """
    if dtype is DType.FLOAT64:
        return {}
    if batch_size is None:
        return {"freezing": True, "post_grad_custom_pre_pass": PackWeights(EXAMPLE)}
    # Inductor packs weights itself, and of its own and of oneDNN's matrix products takes the faster for this size.
    return {
        "freezing": True,
        "max_autotune_gemm": True,
        "max_autotune_gemm_backends": "CPP,ATEN",
        "autotune_num_choices_displayed": 0,
        "max_autotune_report_choices_stats": False,
    }


def _filled(samples: Tensor, size: int) -> Tensor:
    """Samples, with zeros after them up to this number."""
    return torch.cat([samples, samples.new_zeros(size - len(samples), *samples.shape[1:])])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings and logs of the compiler; its errors are still raised."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
