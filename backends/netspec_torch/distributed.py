"""Processes that train together, as torchrun starts them: who they are, what they sum, and how their gradients meet."""

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
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import TowerSettings
from netspec.lowering.trainer import PATIENCE
from netspec_torch.alike import require_alike

_GROUPS: Final = count()  # that this process has formed, as all others of its world have
# By the kind of device. What hosts tell one another does not go through their GPUs: it needs no wait for what is under
# way there, is the same for all kinds, and raises where the others are gone, which nccl leaves to a thread of its own.
EXCHANGES: Final = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


def environment(name: str, default: int) -> int:
    """A whole number that torchrun sets.

    Raises:
        BackendError: it is something else.
    """
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise BackendError(f"the environment's {name}: expected a whole number, received {text!r}")
    return int(text)


def _form_group(backend: str, settings: TowerSettings, world: int) -> None:
    """The default group of all processes, who find one another where the settings say, or the environment.

    Each group writes under a name of its own: where processes train several networks one after the other, the store
    of torchrun still has the addresses of the group before, and who is early would call there.
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
    """This process among those that train together; one alone needs no group.

    Attributes:
        rank, world: which of how many that have their own samples.
        device: where the network is; what hosts tell one another is in their memory.
        tower, towers: which of how many that share one network and the samples of one rank.
        group: those of this tower in all ranks; None for all processes.
        tower_group: the towers of this rank.
        joined: whether the group was formed here, and is left here.
        timeout: seconds to wait for the others, at each exchange.
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
        """The group that the environment describes (WORLD_SIZE, RANK, MASTER_ADDR, MASTER_PORT), or the present one.

        Towers of one rank are neighbors: torchrun starts them on one machine, where they exchange fastest.

        Args:
            device: where the network is.
            settings: over how many towers, and how long to wait for one another.
            facts: what has to be the same in all processes; asked for only where there are several.

        Raises:
            BackendError: the environment is not whole, the others cannot be reached or are not alike, or they are not
                whole ranks.
        """
        towers = settings.towers
        if distributed.is_available() and distributed.is_initialized():
            _require_exchange_of_hosts()
            present = cls(device, distributed.get_rank(), distributed.get_world_size(), timeout=settings.timeout)
            return present._meet(towers, facts)
        world = environment("WORLD_SIZE", 1)
        if world % towers:
            raise BackendError(
                f"the network lies on {towers} towers, and processes to train it are {world}",
                f"torchrun --nproc-per-node {towers}, or a multiple of it, which is data parallel besides",
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
        """All processes of the environment, in a group that is formed here."""
        # DistributedDataParallel imports this, and its functions keep the group that they find: let that be none, or
        # the group's threads live until the interpreter ends around them, which at times ends in an abort.
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
        """Find out whether all are alike before anything else is exchanged, and take this process's place."""
        with self.told():
            if self.world > 1:
                require_alike(facts())
            return self._in_towers(towers)

    def _in_towers(self, towers: int) -> Processes:
        """The same processes as a mesh of ranks by towers."""
        if towers == 1:
            return self
        from torch.distributed import distributed_c10d
        from torch.distributed.device_mesh import init_device_mesh

        shape = (self.world // towers, towers)
        mesh = init_device_mesh(self.device.type, shape, mesh_dim_names=("rank", "tower"))
        rank, tower = divmod(self.rank, towers)
        group, tower_group = mesh.get_group("rank"), mesh.get_group("tower")
        for each in (group, tower_group):  # a mesh gives its groups half an hour, whatever the default group has
            distributed_c10d._set_pg_timeout(timedelta(seconds=self.timeout), each)
        return replace(
            self, rank=rank, world=shape[0], tower=tower, towers=towers, group=group, tower_group=tower_group
        )

    @property
    def number(self) -> int:
        """Which of all processes this is."""
        return self.rank * self.towers + self.tower

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and is heard."""
        return self.number == 0

    @property
    def all(self) -> int:
        """How many processes there are."""
        return self.world * self.towers

    def any(self, value: bool) -> bool:
        """Whether any of all processes says so."""
        if self.all == 1:
            return value
        said = torch.tensor(float(value))
        distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return bool(said)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor in host memory over all ranks, in place."""
        if self.world > 1:
            distributed.all_reduce(values, group=self.group)
        return values

    def counts(self, own: list[int]) -> list[int]:
        """Samples of each batch of a step over all ranks, which may have different numbers of batches."""
        if self.world == 1:
            return own
        longest = torch.tensor(len(own))
        distributed.all_reduce(longest, distributed.ReduceOp.MAX, group=self.group)
        padded = own + [0] * (int(longest) - len(own))
        return [int(count) for count in self.sum(torch.tensor(padded))]

    def wrap(self, native: nn.Module, graph: Graph) -> nn.Module:
        """The module with gradients that become the mean over all ranks during the last backward pass."""
        if self.world == 1:
            return native
        wrapper = nn.parallel.DistributedDataParallel
        renamed = "forward_sync_buffers" in inspect.signature(wrapper).parameters  # in PyTorch 2.13
        # Running statistics are the same everywhere: of the batches of all.
        options: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
        return wrapper(
            native,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            process_group=self.group,
            gradient_as_bucket_view=True,
            find_unused_parameters=has_unread_weights(graph),
            **options,
        )

    def leave(self) -> None:
        """Leave the group, if it was formed here; nothing may hold a wrapped module any more."""
        if self.joined and distributed.is_initialized():
            gc.collect()  # wrapped modules hold the group, and themselves
            distributed.destroy_process_group()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Within it, that another process is gone, or does not answer, is a BackendError."""
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
    """That the group that somebody else formed exchanges what is in host memory too.

    Raises:
        BackendError: it is of nccl alone.
    """
    if distributed.get_backend() == "nccl":
        raise BackendError(
            "the group of processes that is there exchanges what is on GPUs alone",
            f'form it with init_process_group("{EXCHANGES["cuda"]}"), or let netspec form it',
        )


def without_exchange(network: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Within it gradients stay this process's own: of all batches of a step but the last."""
    if wanted and isinstance(network, nn.parallel.DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


def has_unread_weights(graph: Graph) -> bool:
    """Whether there are weights that no output depends on, and so no gradient comes to."""
    needed = graph.needed(graph.outputs)
    return any(node.weights and node.name not in needed for node in graph.nodes)


def _let_the_watchdog_be_heard() -> None:
    """Lead descriptor 2 to where this process's errors are shown.

    A process that waits too long over nccl is ended by a thread of PyTorch in the middle of the wait, once that has
    said why there: what a command keeps back until it ends, it would keep for ever.
    """
    with suppress(AttributeError, OSError, ValueError):  # a stream of the caller's own
        os.dup2(sys.stderr.fileno(), 2)


def _is_late(error: Exception) -> bool:
    """Whether it was waited for in vain: as gloo says it, as nccl does, as a store does."""
    return re.search("tim(ed|ing) out|wait timeout", str(error).lower()) is not None


def _is_of_the_others(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or "gloo" in str(error)


def _first_line(error: Exception) -> str:
    """What it says, without where in PyTorch's own sources it does, and what it guesses besides.

    Of nccl's errors what matters is the last: two processes on one GPU, no network between two machines.
    """
    line = (str(error).partition("Last error:\n")[2].splitlines() or str(error).splitlines() or [type(error).__name__])[
        0
    ]
    return re.sub(r"^\[\S+:\d+\] ", "", line).partition(". ")[0]
