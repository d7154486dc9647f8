"""Two processes over gloo train like one process with the samples of both."""

import os
import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from netspec_torch.distributed import Processes, has_unread_weights
from netspec_torch.meeting import UnansweredError, let_the_watchdog_be_heard
from torch import device, distributed

from netspec.errors import BackendError
from netspec.testing.networks import NETWORKS
from tests.backends.torch import torch_process
from tests.forked import Forked
from tests.training.towers import reserved_port, start
from tests.waiting import HANG


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Unequal shares, an empty share, a batch fewer, accumulation, clipping, a drop of the rate, batch statistics.

    As under torchrun, the store at which the processes meet outlives their groups: they form two, one after the other.
    """
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    of_torchrun = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    script = [torch_process.__file__, str(tmp_path / "rank")]
    for process in [Forked(script, of_torchrun | {"WORLD_SIZE": "2", "RANK": str(rank)}) for rank in range(2)]:
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
    first, second = (dict(np.load(tmp_path / f"rank{rank}.npz")) for rank in range(2))
    dropped = [results.pop("dropped") for results in (first, second)]
    assert not np.array_equal(*dropped)  # without masks, each process drops different elements
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    np.testing.assert_array_equal(first.pop("total"), [2.0, 1.0])
    expected = torch_process.outcome(torch_process.start())
    maps = torch_process.network_of_maps()
    of_maps = torch_process.outcome(torch_process.start(graph=maps), maps)
    expected |= {f"maps, {name}": array for name, array in of_maps.items()}
    assert first.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(first[name], array, rtol=1e-10, atol=1e-12, err_msg=name)
    assert np.ptp(expected["losses"]) > 0.1


def together(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Set the environment of the second of two processes that train together."""
    for name, value in ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1"} | environment).items():
        monkeypatch.setenv(name, value)


def test_unreachable_processes_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved_port() as reserved:
        port = str(reserved.getsockname()[1])
        together(monkeypatch, MASTER_PORT=port)
        message = rf"2 processes .* did not meet at 127\.0\.0\.1:{port}: waited 1 s for one .*\nhint: .*torchrun"
        with pytest.raises(BackendError, match=message):
            torch_process.start(timeout=1)


@pytest.mark.parametrize(
    ("rank", "why"), [("0", "the port is taken by another program"), ("1", "no answer within 1.5 s")]
)
def test_a_port_in_use_is_reported(monkeypatch: pytest.MonkeyPatch, rank: str, why: str) -> None:
    """The first process cannot listen there, and the others ask a program that does not know what to answer."""
    monkeypatch.setattr("netspec_torch.meeting.MEETING", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        together(monkeypatch, MASTER_PORT=str(listener.getsockname()[1]), RANK=rank)
        with pytest.raises(BackendError, match=rf"{why}\nhint: .*--master-port, one that no other program has"):
            torch_process.start(timeout=1)


def test_an_incomplete_environment_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(BackendError, match=r"did not meet at 127\.0\.0\.1:\?: .*MASTER_PORT"):
        torch_process.start()


def test_a_rank_beyond_the_number_of_processes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, RANK="5", MASTER_PORT="1")
    with pytest.raises(BackendError, match="RANK: expected 0 to 1, since WORLD_SIZE is 2; received 5"):
        torch_process.start()


LEFT = """
import os
from netspec.errors import BackendError
from tests.backends.torch import torch_process

trainer = torch_process.start()
(batches, total), *_ = torch_process.steps(trainer.rank, 2)
trainer.step(batches, 0.1, total, 0)
if trainer.rank == 1:
    os._exit(0)
try:
    trainer.step(batches, 0.1, total, 0)
except BackendError as error:
    print(error)
"""


def test_a_lost_process_is_reported() -> None:
    """One of two processes exits while the other is in the middle of a step."""
    (output, trace), _ = (process.communicate(timeout=HANG) for process in start([["-c", LEFT]] * 2))
    assert "process 0 of 2 lost the others" in output, trace


def test_unread_weights_are_detected() -> None:
    assert has_unread_weights(torch_process.network())
    assert not any(has_unread_weights(build()) for build in NETWORKS.values())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("[/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 3000ms for recv operation"),
            "waited 3 s for the others in vain: Timed out waiting 3000ms for recv operation",
        ),
        (
            RuntimeError("Application timeout caused pair closure"),
            "waited 3 s for the others in vain: Application timeout caused pair closure",
        ),
        (
            distributed.DistBackendError(
                "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, Timeout(ms)=3000) ran for 3050 "
                "milliseconds before timing out."
            ),
            "waited 3 s for the others in vain: Watchdog caught collective operation timeout",
        ),
        (UnansweredError("no answer within 13 s"), "waited 3 s for the others in vain: no answer within 13 s"),
        (
            RuntimeError("[/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:4711"),
            "lost the others: Connection closed by peer",
        ),
        (
            distributed.DistBackendError("NCCL error: remote process exited or there was a network error"),
            "lost the others: NCCL error: remote process exited",
        ),
    ],
)
def test_a_timeout_is_distinguished_from_a_lost_process(error: RuntimeError, message: str) -> None:
    processes = Processes(device("cpu"), 0, 2, timeout=3)
    with pytest.raises(BackendError, match=f"process 0 of 2 {re.escape(message)}"), processes.explain_lost_process():
        raise error


def test_an_error_of_this_process_alone_is_no_loss_of_the_others() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"), Processes(device("cpu"), 0, 2).explain_lost_process():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_messages_of_the_framework_on_stderr_are_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.dup(2)
    try:
        with (tmp_path / "shown").open("w") as shown:
            monkeypatch.setattr(sys, "stderr", shown)
            let_the_watchdog_be_heard()
            os.write(2, b"the watchdog")
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert (tmp_path / "shown").read_text() == "the watchdog"
