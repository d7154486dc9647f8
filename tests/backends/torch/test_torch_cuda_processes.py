"""Processes on GPUs, tested without one: which device they use, which backend, and what they exchange.

The tests patch `torch.cuda`. The meta device stands for device memory: an exchange of its tensors would fail.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import netspec_torch.distributed as own
import netspec_torch.meeting
import pytest
import torch
from netspec_torch import BACKEND
from netspec_torch.consistency import facts_of
from netspec_torch.device import choose_device
from torch import distributed

from netspec.errors import BackendError
from netspec.lowering import TrainerSettings
from netspec.recipe import Recipe, Sgd
from netspec.testing.networks import towers
from tests.training.towers import start
from tests.waiting import HANG

SETTINGS = TrainerSettings(Recipe(batch_size=1, epochs=1, optimizer=Sgd(name="sgd", learning_rate=1.0)))
CUDA = torch.device("cuda", 1)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Simulate a machine with two different GPUs; the list gets each device that is made the current one."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {'AB'[device.index]}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    return current


def test_each_process_of_a_machine_has_its_own_device(
    monkeypatch: pytest.MonkeyPatch, chosen: list[torch.device]
) -> None:
    """The local rank selects the device, which becomes the current one before anything is exchanged."""
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device(SETTINGS) == CUDA
    assert chosen == [CUDA]
    assert choose_device(replace(SETTINGS, device="cpu")) == torch.device("cpu")
    assert chosen == [CUDA]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(BackendError, match="process 2 of this machine, counted from 0, finds 2 CUDA devices"):
        choose_device(SETTINGS)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(BackendError, match="GPU A does not compute in bfloat16"):
        choose_device(replace(SETTINGS, precision="bfloat16"))


@pytest.mark.parametrize(("kind", "backend"), [("cpu", "gloo"), ("cuda", "cpu:gloo,cuda:nccl")])
def test_gpus_exchange_by_nccl_and_hosts_by_gloo(monkeypatch: pytest.MonkeyPatch, kind: str, backend: str) -> None:
    """The default group has these backends, which the groups of a mesh inherit, and the timeout of the settings."""
    formed: list[dict[str, Any]] = []

    def rendezvous(*_: object, **__: object) -> Iterator[tuple[Any, int, int]]:
        yield distributed.HashStore(), 1, 2

    def init_process_group(backend: str, **options: Any) -> None:
        formed.append({"backend": backend, **options})

    monkeypatch.setattr(sys.modules["torch.distributed.rendezvous"], "rendezvous", rendezvous)
    monkeypatch.setattr(distributed, "init_process_group", init_process_group)
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(netspec_torch.meeting, "let_the_watchdog_be_heard", lambda: None)
    device = torch.device(kind)
    netspec_torch.meeting.meet(device, replace(SETTINGS, timeout=7.0), 2)
    assert current == ([device] if kind == "cuda" else [])  # of the thread in which the group is formed
    (group,) = formed
    assert (group["backend"], group["timeout"].total_seconds()) == (backend, 7.0)
    assert distributed.distributed_c10d.BackendConfig(backend).get_device_backend_map()["cpu"] == "gloo"


HOSTS = """
import os
import numpy as np
import torch
from netspec.errors import BackendError
from netspec.testing.networks import towers
from netspec_torch.consistency import require_consistent
from netspec_torch.distributed import Processes
from tests.backends.torch.test_torch_cuda_processes import SETTINGS

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
processes = Processes(torch.device("meta"), rank, 2, timeout=30)
print(processes.largest(15 * rank), processes.largest(0), processes.counts([3, 1] if rank else [4]))
print(processes.sum(torch.tensor([1.0 + rank])).tolist())
require_consistent({"the device": "cuda"})
try:
    require_consistent({"the device": ["cuda", "cpu"][rank]})
except BackendError as error:
    print(error.message)
torch.distributed.destroy_process_group()
"""


def test_hosts_exchange_without_their_devices() -> None:
    for process in start([["-c", HOSTS]] * 2):
        output, trace = process.communicate(timeout=HANG)
        assert process.returncode == 0, trace
        assert output.splitlines() == [
            "15 0 [7, 1]",
            "[3.0]",
            "the 2 processes are not alike in the device (cuda in process 0, cpu in process 1)",
        ]


def test_towers_need_devices_of_one_model(chosen: list[torch.device]) -> None:
    """GPUs of different models draw different dropout masks from one seed. Without towers, they may be mixed."""
    artifact = BACKEND.lower(towers())

    def device(place: torch.device, towers: int) -> str:
        return facts_of(artifact, {}, replace(SETTINGS, towers=towers), place)["the device"]

    assert [device(torch.device("cuda", index), 2) for index in range(2)] == ["GPU A", "GPU B"]
    assert [device(torch.device("cuda", index), 1) for index in range(2)] == ["cuda", "cuda"]
    assert device(torch.device("cpu"), 2) == "cpu"
    assert not chosen


def test_an_existing_group_of_nccl_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_backend", lambda: "nccl")
    with pytest.raises(BackendError, match=r'(?s)on GPUs alone.*init_process_group."cpu:gloo,cuda:nccl"'):
        own.Processes.join(CUDA, SETTINGS)


def test_the_reason_of_an_nccl_error_is_reported() -> None:
    error = distributed.DistBackendError(
        "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, invalid usage (run with NCCL_DEBUG=WARN "
        "for details), NCCL version 2.27.5\nncclInvalidUsage: This usually reflects invalid usage of NCCL library.\n"
        "Last error:\nDuplicate GPU detected : rank 0 and rank 1 both on CUDA device 1b000"
    )
    reason = "lost the others: Duplicate GPU detected : rank 0 and rank 1 both"
    with pytest.raises(BackendError, match=reason), own.Processes(CUDA, 0, 2).explain_lost_process():
        raise error


@pytest.mark.parametrize(("kind", "after_an_error"), [("cuda", "aborted"), ("cpu", "destroyed")])
def test_nccl_is_not_waited_for_after_an_error(monkeypatch: pytest.MonkeyPatch, kind: str, after_an_error: str) -> None:
    """Its `destroy` waits for exchanges with a process that may be gone; gloo's does not."""
    ends: list[str] = []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: ends.append("destroyed"))
    monkeypatch.setattr(distributed.distributed_c10d, "_abort_process_group", lambda: ends.append("aborted"))
    processes = own.Processes(torch.device(kind), 0, 2, joined=True)
    processes.leave()
    with suppress(BackendError):
        try:
            raise BackendError("lost the others")
        finally:
            processes.leave()
    assert ends == ["destroyed", after_an_error]
