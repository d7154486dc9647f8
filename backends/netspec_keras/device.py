"""What a trainer computes on, and in which arithmetic."""

from __future__ import annotations

import tensorflow as tf

from netspec.errors import BackendError
from netspec.lowering import TrainerSettings
from netspec.lowering.trainer import Device
from netspec.types import DType


def choose_device(device: Device) -> tuple[str | None, str]:
    """Where TensorFlow is told to compute, None to leave that to it, and what the log calls it.

    Raises:
        BackendError: it is not there.
    """
    graphics = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not graphics:
        raise BackendError("TensorFlow sees no CUDA device here", "pip install 'tensorflow[and-cuda]', or --device cpu")
    return ("/CPU:0", "cpu") if device == "cpu" or not graphics else (None, "cuda:0")


def describe(device: str, settings: TrainerSettings, dtype: DType) -> tuple[str, ...]:
    """What a reader of the log has to know: the device, the precision, and what a second run will repeat."""
    mixed = settings.precision == "bfloat16"
    precision = f"layers in bfloat16, weights and updates in {dtype}" if mixed else f"{dtype} throughout"
    if device == "cpu":
        threads = tf.config.threading.get_intra_op_parallelism_threads() or "one a core"
        return (f"keras on TensorFlow, cpu, threads: {threads}", precision)
    matrices = "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off"
    return (
        f"keras on TensorFlow, {device}",
        f"{precision}; TF32 is {matrices}",
        "TensorFlow's deterministic kernels are switched on for a whole process: left off, runs may differ in rounding",
    )
