"""Batches read ahead by threads and processes are the same, errors reach the caller, and nothing hangs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.training.data import samples
from netspec.training.data.findings import BadDataError
from tests.training.data.numbered import AUGMENTED, Numbered, batches, recipe, same
from tests.waiting import is_running, wait_until


@pytest.mark.parametrize("start", [0, 4])
def test_a_stream_has_the_steps_in_order(start: int) -> None:
    found = batches(Numbered(22), recipe(augmentation=AUGMENTED))
    with closing(found.stream(start, 9, threads=2)) as stream:
        assert all(same(piece, found.step(step)) for step, piece in zip(range(start, 9), stream, strict=True))


def test_a_stream_of_no_steps_is_empty() -> None:
    assert list(batches(Numbered(22), recipe()).stream(3, 3)) == []


def wait_for_end_of_threads(prefix: str) -> None:
    """Wait until no thread has a name with this prefix."""
    wait_until(
        lambda: not any(thread.name.startswith(prefix) for thread in threading.enumerate()),
        f"the end of the threads {prefix}*",
    )


def test_a_stream_that_is_closed_early_ends_its_threads() -> None:
    stream = batches(Numbered(22), recipe()).stream(0, 10**9)
    next(stream)
    stream.close()
    wait_for_end_of_threads("grain-prefetch")


def test_a_bad_sample_ends_a_stream_with_its_own_error() -> None:
    stream = batches(Numbered(8, bad=(3,)), recipe(8)).stream(0, 1)
    with pytest.raises(BadDataError, match=r"1 bad sample in numbered \(8 checked\):\n  numbered, row 3: spoilt"):
        next(stream)
    wait_for_end_of_threads("grain-prefetch")


def test_processes_read_the_same_and_end_when_the_stream_is_closed() -> None:
    others = {*multiprocessing.active_children()}
    found = batches(Numbered(22), recipe(augmentation=AUGMENTED))
    stream = found.stream(2, 10**6, threads=1, workers=2)
    with closing(stream):
        assert all(same(next(stream), found.step(step)) for step in range(2, 9))
        assert len({*multiprocessing.active_children()} - others) == 2
    assert {*multiprocessing.active_children()} <= others


def test_a_bad_sample_in_a_process_raises_the_same_error() -> None:
    others = {*multiprocessing.active_children()}
    stream = batches(Numbered(8, bad=(3, 5)), recipe(8)).stream(0, 5, workers=1)
    with pytest.raises(BadDataError, match=r"2 bad samples in numbered \(8 checked\)") as caught, closing(stream):
        next(stream)
    assert "--on-bad-sample skip" in caught.value.hint
    assert {*multiprocessing.active_children()} <= others


def test_a_process_that_dies_is_an_error_and_not_a_hang() -> None:
    stream = batches(Numbered(8, deadly=3), recipe(8)).stream(0, 5, workers=1)
    with pytest.raises(NetspecError, match="a process that reads data ended unexpectedly, with exit code 7"):
        next(stream)


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "reads.py"
    script.write_text(
        "import multiprocessing, os\n"
        "from numbered import Numbered, batches, recipe\n"
        "if __name__ == '__main__':\n"
        "    stream = batches(Numbered(22), recipe()).stream(0, 10**6, workers=1)\n"
        "    next(stream)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path.cwd())])
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    child = int(done.stdout)
    wait_until(lambda: not is_running(child), "the end of the child")


def test_memory_is_lent_again_once_no_view_of_it_is_held() -> None:
    memory = samples.Memory()
    first = memory.array((4, 5))
    address, view = first.ctypes.data, first[1:3]
    del first
    second = memory.array((4, 5))
    second[:] = 7
    view[:] = 1
    assert (second == 7).all()
    part = view.reshape(-1)[3:]
    del view
    assert memory.array((2, 5)).ctypes.data != address
    del part
    assert memory.array((2, 5)).ctypes.data == address
    assert memory.array((9, 9)).shape == (9, 9)
    assert memory.array((0, 9)).shape == (0, 9)


def test_batches_that_are_held_stay_as_they_were() -> None:
    found = batches(Numbered(24), recipe(augmentation=AUGMENTED))
    with closing(found.stream(0, 24)) as stream:
        held = list(stream)
    assert all(same(piece, found.step(step)) for step, piece in enumerate(held))
