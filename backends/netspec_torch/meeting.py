"""How processes that train together meet: the group that they form, where, and within which time."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import timedelta
from itertools import count
from threading import Thread
from typing import Final, TypeVar

import torch
from torch import distributed

from netspec.errors import BackendError
from netspec.lowering import TowerSettings
from netspec.lowering.environment import environment

T = TypeVar("T")
_GROUPS: Final = count()  # numbers the groups that are formed, equally in all processes
# PyTorch's backends by kind of device. Tensors in host memory always go over gloo: it does not wait for the GPU, and
# raises an error when another process is gone, where nccl aborts in a thread of its own.
EXCHANGES: Final = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
# Seconds, beyond the timeout, in which processes have to meet: PyTorch's own errors come at the timeout, and say more.
MEETING = 10.0


def meet(device: torch.device, settings: TowerSettings, world: int) -> None:
    """Form the default group of the environment's processes, in at most `MEETING` seconds more than the timeout.

    Raises:
        BackendError: the environment is incomplete, or the others cannot be reached.
    """
    rank = environment("RANK", 0)
    if rank >= world:
        raise BackendError(
            f"the environment's RANK: expected 0 to {world - 1}, since WORLD_SIZE is {world}; received {rank}"
        )
    # DistributedDataParallel imports this module, whose functions keep a reference to the default group of that
    # moment. There must be none yet: a group that lives until the interpreter ends can abort it.
    importlib.import_module("torch.distributed.nn")
    if device.type == "cuda":
        let_the_watchdog_be_heard()
    try:
        within(settings.timeout, device, lambda: _form_group(EXCHANGES[device.type], settings, world))
    except UnansweredError as error:
        advice = "end the first of them if it hangs or is suspended; "
        raise _not_met(settings, world, first_line(error), advice) from error
    except (ValueError, RuntimeError) as error:
        if "EADDRINUSE" in str(error):
            raise _not_met(settings, world, "the port is taken by another program") from error
        if is_late(error):
            why = f"waited {settings.timeout:g} s for one that did not come"
            raise _not_met(settings, world, why, "one may have ended before, and says why; ") from error
        raise _not_met(settings, world, first_line(error)) from error


def _not_met(settings: TowerSettings, world: int, why: str, advice: str = "") -> BackendError:
    found = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
    return BackendError(
        f"the {world} processes that are to train together did not meet at {settings.meeting or found}: {why}",
        f"{advice}start all of them with torchrun, and give all the same --master-addr, one that they can reach, "
        "and the same --master-port, one that no other program has",
    )


def _form_group(backend: str, settings: TowerSettings, world: int) -> None:
    """Form the default group of all processes, which meet at the address of the settings or the environment.

    Each group has its own prefix in the store. Torchrun's store outlives a group: without the prefix, a process that
    forms the next group early would find the addresses of the previous one.
    """
    from torch.distributed.distributed_c10d import PrefixStore  # not in a PyTorch without distributed
    from torch.distributed.rendezvous import rendezvous

    patience = timedelta(seconds=settings.timeout)
    if settings.meeting:
        meeting = rendezvous(settings.meeting, environment("RANK", 0), world, timeout=patience)
    else:
        meeting = rendezvous("env://", timeout=patience)
    store, rank, world = next(meeting)
    store.set_timeout(patience)
    store = PrefixStore(f"netspec/{next(_GROUPS)}", store)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=patience)


class UnansweredError(RuntimeError):
    """Raised if other processes do not answer in time. The call that waits for them is still in its thread."""


def within(timeout: float, device: torch.device, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, in at most `MEETING` seconds more than the timeout.

    Processes meet at a store in the first of them. If that one is suspended, the others' questions to it wait without
    end, whatever their timeout, and no signal is handled meanwhile. Hence the call is made in a thread.

    Args:
        timeout: of each exchange that the call makes. Units: seconds.
        device: made the current one of the thread, if it is a GPU.
        call: a function without arguments.

    Raises:
        UnansweredError: the call takes longer. Its thread is left behind, and ends with the process.
    """
    result: Future[T] = Future()

    def work() -> None:
        try:
            if device.type == "cuda":
                torch.cuda.set_device(device)
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 # raised by the thread that waits
            result.set_exception(error)

    Thread(target=work, daemon=True).start()
    if not wait([result], timeout + MEETING).done:
        raise UnansweredError(f"no answer within {timeout + MEETING:g} s")
    return result.result()


def let_the_watchdog_be_heard() -> None:
    """Redirect file descriptor 2 to the stream that shows this process's errors.

    If a wait over nccl times out, a thread of PyTorch writes the reason to descriptor 2 and aborts the process. A
    command that buffers this descriptor until it ends would never show it.
    """
    with suppress(AttributeError, OSError, ValueError):  # a stream without a file descriptor
        os.dup2(sys.stderr.fileno(), 2)


def is_late(error: Exception) -> bool:
    """Whether the error is a timeout, by its class or in the words of gloo, nccl or a store."""
    return isinstance(error, UnansweredError) or re.search("tim(ed|ing) out|timeout", str(error).lower()) is not None


def first_line(error: Exception) -> str:
    """The first sentence of an error's message, without its place in PyTorch's source.

    Of an nccl error it is the one after `Last error:`, which has the cause: two processes on one GPU, or no network.
    """
    text = str(error).partition("Last error:\n")[2] or str(error) or type(error).__name__
    line = text.splitlines()[0]
    return re.sub(r"^\[\S+:\d+\] ", "", line).partition(". ")[0]
