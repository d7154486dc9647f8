"""Processes that train together, as torchrun starts them: their ranks and groups, sums over them, and failures."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any, Final, cast

import torch
from torch import Tensor, distributed, nn

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import TowerSettings
from netspec.lowering.trainer import PATIENCE
from netspec_torch.consistency import require_consistent

_GROUPS: Final = count()  # numbers the groups that are formed, equally in all processes
# PyTorch's backends by kind of device. Tensors in host memory always go over gloo: it does not wait for the GPU, and
# raises an error when another process is gone, where nccl aborts in a thread of its own.
EXCHANGES: Final = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


def environment(name: str, default: int) -> int:
    """An integer from the environment, as torchrun sets it.

    Raises:
        BackendError: the variable is not an integer.
    """
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise BackendError(f"the environment's {name}: expected a whole number, received {text!r}")
    return int(text)


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


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together. A single process has no group.

    Attributes:
        device: of the network. Counts and flags are exchanged in host memory.
        rank, world: the index and number of ranks, each with its own share of the samples.
        joined: whether the default group was formed by `join`, and has to be left.
        timeout: seconds to wait for the others at each exchange.
        tower, towers: the index and number of towers, which share a rank's samples and divide the network.
        group: the processes of this tower in all ranks; None for all processes.
        tower_group: the towers of this rank.
    """

    device: torch.device
    rank: int = 0
    world: int = 1
    joined: bool = False
    timeout: float = PATIENCE
    tower: int = 0
    towers: int = 1
    group: distributed.ProcessGroup | None = None
    tower_group: distributed.ProcessGroup | None = None

    @classmethod
    def join(
        cls, device: torch.device, settings: TowerSettings, facts: Callable[[], Mapping[str, str]] = dict
    ) -> Processes:
        """Join the default group, or form it as the environment says (WORLD_SIZE, RANK, MASTER_ADDR, MASTER_PORT).

        Towers of a rank have consecutive numbers: torchrun starts them on one machine, where exchanges are fastest.

        Args:
            device: of the network.
            settings: the number of towers, and timeouts.
            facts: returns what has to be the same in all processes; called only if there are several.

        Raises:
            BackendError: the environment is incomplete, the others cannot be reached, their facts differ, or their
                number is not a multiple of the towers.
        """
        towers = settings.towers
        if distributed.is_available() and distributed.is_initialized():
            _require_exchange_of_hosts()
            present = cls(device, distributed.get_rank(), distributed.get_world_size(), timeout=settings.timeout)
            return present._meet(towers, facts)
        world = environment("WORLD_SIZE", 1)
        if world % towers:
            raise BackendError(
                f"the network lies on {towers} towers, and {world} process{'' if world == 1 else 'es'} would train it",
                f"torchrun --nproc-per-node {towers}, or a multiple of it to add data parallelism",
            )
        if world == 1:
            return cls(device)
        if not distributed.is_available():
            raise BackendError(f"WORLD_SIZE is {world}, and PyTorch {torch.__version__} was built without distributed")
        joined = cls._formed(device, settings, world)
        try:
            return joined._meet(towers, facts)
        except BackendError:
            joined.leave()
            raise

    @classmethod
    def _formed(cls, device: torch.device, settings: TowerSettings, world: int) -> Processes:
        """Form the default group of the environment's processes."""
        # DistributedDataParallel imports this module, whose functions keep a reference to the default group of that
        # moment. There must be none yet: a group that lives until the interpreter ends can abort it.
        importlib.import_module("torch.distributed.nn")
        if device.type == "cuda":
            _let_the_watchdog_be_heard()
        try:
            _form_group(EXCHANGES[device.type], settings, world)
        except (ValueError, RuntimeError) as error:
            found = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
            where = settings.meeting or found
            late, taken = _is_late(error), "EADDRINUSE" in str(error)
            why = f"waited {settings.timeout:g} s for one that did not come" if late else _first_line(error)
            raise BackendError(
                f"the {world} processes that are to train together did not meet at {where}: "
                f"{'the port is taken by another program' if taken else why}",
                ("one may have ended before, and says why; " if late else "")
                + "start all of them with torchrun, and give all the same --master-addr, one that they can reach"
                + (", and another --master-port" if taken else ""),
            ) from error
        return cls(device, distributed.get_rank(), world, joined=True, timeout=settings.timeout)

    def _meet(self, towers: int, facts: Callable[[], Mapping[str, str]]) -> Processes:
        """Require the same facts in all processes, before any other exchange; then divide the processes into towers."""
        with self.explain_lost_process():
            if self.world > 1:
                require_consistent(facts())
            return self._in_towers(towers)

    def _in_towers(self, towers: int) -> Processes:
        """The processes as a mesh of ranks by towers.

        PyTorch's `init_device_mesh` takes no timeout: it waits half an hour for a process that has just ended.
        """
        if towers == 1:
            return self
        patience = timedelta(seconds=self.timeout)
        form = cast("Callable[..., Any]", distributed.new_subgroups_by_enumeration)  # it has no types
        mesh = torch.arange(self.world).view(-1, towers)
        tower_group, _ = form(mesh.tolist(), timeout=patience)
        group, _ = form(mesh.T.tolist(), timeout=patience)
        rank, tower = divmod(self.rank, towers)
        return replace(
            self, rank=rank, world=len(mesh), tower=tower, towers=towers, group=group, tower_group=tower_group
        )

    @property
    def number(self) -> int:
        """The index of this process among all."""
        return self.rank * self.towers + self.tower

    @property
    def leads(self) -> bool:
        """Whether this process is the first, which writes files and output."""
        return self.number == 0

    @property
    def all(self) -> int:
        """The number of processes."""
        return self.world * self.towers

    def any(self, value: bool) -> bool:
        """Whether the value is true in any process."""
        if self.all == 1:
            return value
        largest = torch.tensor(float(value))
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return bool(largest)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor in host memory over all ranks, in place."""
        if self.world > 1:
            distributed.all_reduce(values, group=self.group)
        return values

    def counts(self, own: list[int]) -> list[int]:
        """The samples of each batch of a step, summed over all ranks, which may have different numbers of batches."""
        if self.world == 1:
            return own
        longest = torch.tensor(len(own))
        distributed.all_reduce(longest, distributed.ReduceOp.MAX, group=self.group)
        padded = own + [0] * (int(longest) - len(own))
        return [int(count) for count in self.sum(torch.tensor(padded))]

    def wrap(self, native: nn.Module, graph: Graph) -> nn.Module:
        """The module, wrapped so that the last backward pass of a step averages its gradients over all ranks.

        Raises:
            BackendError: another process is gone; this one has left the group.
        """
        if self.world == 1:
            return native
        wrapper = nn.parallel.DistributedDataParallel
        renamed = "forward_sync_buffers" in inspect.signature(wrapper).parameters  # in PyTorch 2.13
        # Running statistics need no broadcast: each process computes them from the batches of all.
        options: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
        try:
            with self.explain_lost_process():  # compares the shapes of weights in all ranks
                return wrapper(
                    native,
                    device_ids=[self.device] if self.device.type == "cuda" else None,
                    process_group=self.group,
                    gradient_as_bucket_view=True,
                    find_unused_parameters=has_unread_weights(graph),
                    **options,
                )
        except BackendError:
            self.leave()
            raise

    def leave(self) -> None:
        """Leave the default group if `join` formed it. No reference to a wrapped module may be left."""
        if self.joined and distributed.is_initialized():
            gc.collect()  # wrapped modules refer to the group, and to themselves
            distributed.destroy_process_group()

    @contextmanager
    def explain_lost_process(self) -> Iterator[None]:
        """A context in which the loss of another process, or a timeout, is raised as a BackendError."""
        try:
            yield
        except RuntimeError as error:
            if self.all == 1 or not _is_of_the_others(error):
                raise
            late = _is_late(error)
            what = f"waited {self.timeout:g} s for the others in vain" if late else "lost the others"
            why = "one hangs, or is slow and needs a longer --timeout" if late else "one ended; it says why if it could"
            raise BackendError(
                f"process {self.number} of {self.all} {what}: {_first_line(error)}",
                f"{why}; what is written is whole, and --resume goes on from the last checkpoint, if there is one",
            ) from error


def _require_exchange_of_hosts() -> None:
    """Require that a group formed by the caller exchanges tensors in host memory too.

    Raises:
        BackendError: it uses only nccl.
    """
    if distributed.get_backend() == "nccl":
        raise BackendError(
            "the present process group exchanges tensors on GPUs alone",
            f'form it with init_process_group("{EXCHANGES["cuda"]}"), or let netspec form it',
        )


def without_exchange(network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """A context without averaging of gradients, if wanted: for all batches of a step but the last."""
    if wanted and isinstance(network, nn.parallel.DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


def has_unread_weights(graph: Graph) -> bool:
    """Whether there are weights that no output depends on, which therefore get no gradient."""
    needed = graph.needed(graph.outputs)
    return any(node.weights and node.name not in needed for node in graph.nodes)


def _let_the_watchdog_be_heard() -> None:
    """Redirect file descriptor 2 to the stream that shows this process's errors.

    If a wait over nccl times out, a thread of PyTorch writes the reason to descriptor 2 and aborts the process. A
    command that buffers this descriptor until it ends would never show it.
    """
    with suppress(AttributeError, OSError, ValueError):  # a stream without a file descriptor
        os.dup2(sys.stderr.fileno(), 2)


def _is_late(error: Exception) -> bool:
    """Whether the error is a timeout, in the words of gloo, nccl or a store."""
    return re.search("tim(ed|ing) out|timeout", str(error).lower()) is not None


def _is_of_the_others(error: RuntimeError) -> bool:
    """Whether another process caused the error.

    Gloo's errors name it or its files, except that of an exchange which failed because another one timed out.
    """
    return isinstance(error, distributed.DistError) or re.search("[Gg]loo|pair closure", str(error)) is not None


def _first_line(error: Exception) -> str:
    """The first sentence of an error's message, without its place in PyTorch's source.

    Of an nccl error it is the one after `Last error:`, which has the cause: two processes on one GPU, or no network.
    """
    text = str(error).partition("Last error:\n")[2] or str(error) or type(error).__name__
    line = text.splitlines()[0]
    return re.sub(r"^\[\S+:\d+\] ", "", line).partition(". ")[0]
