"""The device, precision and threads of a trainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.graph.analysis import analyze
from netspec.lowering import TrainerSettings
from netspec.lowering.environment import environment
from netspec.types import DType

WORTH_THREADS = 200_000_000  # multiply-accumulates of a forward pass: about 5 ms on one core


def choose_device(settings: TrainerSettings) -> torch.device:
    """The device that the settings ask for; each process of a machine gets a different CUDA device.

    Raises:
        BackendError: there is no such device, or it does not support the precision.
    """
    if settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BackendError(
            f"PyTorch {torch.__version__} finds no CUDA device",
            "use --device cpu, or install a PyTorch that was built for the machine's CUDA",
        )
    index, count = environment("LOCAL_RANK", 0), torch.cuda.device_count()
    if index >= count:
        raise BackendError(
            f"process {index} of this machine, counted from 0, finds {count} CUDA device{'s' if count > 1 else ''}",
            "start one process for each device (torchrun --nproc-per-node), all of which see every device "
            "(CUDA_VISIBLE_DEVICES), or use --device cpu",
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    if settings.precision == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise BackendError(f"{torch.cuda.get_device_name(device)} does not compute in bfloat16")
    return device


@contextmanager
def arithmetic(device: torch.device) -> Iterator[None]:
    """Disable TF32 on CUDA, and restrict cuDNN to deterministic algorithms."""
    if device.type != "cuda":
        yield
        return
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def threads_for(graph: Graph, batch_size: int) -> int:
    """The number of CPU threads for a step: one for small networks, where synchronization would take longer."""
    return 1 if analyze(graph).macs * batch_size < WORTH_THREADS else torch.get_num_threads()


def describe(device: torch.device, settings: TrainerSettings, dtype: DType) -> tuple[str, ...]:
    """Notes for the log: the device, the precision, and which results a second run will reproduce."""
    precision = (
        f"layers in bfloat16, weights and updates in {dtype}" if settings.precision == "bfloat16" else str(dtype)
    )
    if device.type == "cuda":
        return (
            torch.cuda.get_device_name(device),
            f"{precision}; TF32 off",
            "cuDNN deterministic; where gradients of max pooling overlap, sums may still differ in the last bit",
        )
    threads = torch.get_num_threads()
    return (
        f"CPU, {threads} thread{'s' if threads > 1 else ''}",
        precision,
        "deterministic on the same CPU with as many threads",
    )
