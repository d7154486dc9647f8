"""The device and precision of a trainer."""

from __future__ import annotations

import tensorflow as tf

from netspec.errors import BackendError
from netspec.lowering import TrainerSettings
from netspec.lowering.trainer import Device
from netspec.types import DType


def choose_device(device: Device) -> tuple[str | None, str]:
    """TensorFlow's device, None for its default placement, and the name of the device in the log.

    Raises:
        BackendError: there is no such device.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not gpus:
        raise BackendError("TensorFlow sees no CUDA device here", "pip install 'tensorflow[and-cuda]', or --device cpu")
    return ("/CPU:0", "cpu") if device == "cpu" or not gpus else (None, "cuda:0")


def describe(device: str, settings: TrainerSettings, dtype: DType) -> tuple[str, ...]:
    """Notes for the log: the device, the precision, and which results a second run will reproduce."""
    mixed = settings.precision == "bfloat16"
    precision = f"layers in bfloat16, weights and updates in {dtype}" if mixed else f"{dtype} throughout"
    if device == "cpu":
        threads = tf.config.threading.get_intra_op_parallelism_threads() or "one per core"
        return (f"keras on TensorFlow, cpu, threads: {threads}", precision)
    tf32 = "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off"
    return (
        f"keras on TensorFlow, {device}",
        f"{precision}; TF32 is {tf32}",
        "TensorFlow's deterministic kernels are switched on for a whole process: left off, runs may differ in rounding",
    )
