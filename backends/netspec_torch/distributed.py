"""Processes that train together, as torchrun starts them: their ranks and groups, sums over them, and failures."""

from __future__ import annotations

import gc
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import TowerSettings
from netspec.lowering.environment import environment
from netspec.lowering.trainer import PATIENCE
from netspec_torch.consistency import require_consistent
from netspec_torch.meeting import (
    EXCHANGES,
    UnansweredError,
    first_line,
    is_late,
    meet,
    within,
)


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
            return present._begin(towers, facts)
        world = environment("WORLD_SIZE", 1, least=1)
        if world % towers:
            raise BackendError(
                f"the network lies on {towers} towers, and {world} process{'' if world == 1 else 'es'} would train it",
                f"torchrun --nproc-per-node {towers}, or a multiple of it to add data parallelism",
            )
        if world == 1:
            return cls(device)
        if not distributed.is_available():
            raise BackendError(f"WORLD_SIZE is {world}, and PyTorch {torch.__version__} was built without distributed")
        meet(device, settings, world)
        joined = cls(device, distributed.get_rank(), world, joined=True, timeout=settings.timeout)
        return joined._begin(towers, facts)

    def _begin(self, towers: int, facts: Callable[[], Mapping[str, str]]) -> Processes:
        """Require the same facts in all processes, before any other exchange; then divide the processes into towers.

        Raises:
            BackendError: the facts differ, or another process is gone or does not answer; this one has left the group.
        """

        def begin() -> Processes:
            if self.world > 1:
                require_consistent(facts())
            divided = self._in_towers(towers)
            divided._connect()
            return divided

        try:
            with self.explain_lost_process():
                return within(self.timeout, self.device, begin)
        except BackendError as error:
            if not isinstance(error.__cause__, UnansweredError):  # else the group is in use by the thread that waits
                self.leave()
            raise

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

    def _connect(self) -> None:
        """Exchange a number with the processes of each group, here, where the time is limited.

        Nccl connects two processes, and sees that they share a GPU, only when they first exchange something.
        """
        for group, size in ((self.tower_group, self.towers), (self.group, self.world)):
            if size > 1:
                number = torch.ones(1, device=self.device)
                distributed.all_reduce(number, group=group)
                number.item()  # waits for a GPU

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

    def largest(self, value: int) -> int:
        """The largest of a number over all processes."""
        if self.all == 1:
            return value
        largest = torch.tensor(value)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return int(largest)

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
        """Leave the default group if `join` formed it. No reference to a wrapped module may be left.

        Before nccl is destroyed it waits for its last exchanges: without end if another process is gone, and before an
        error could be printed. Therefore it is aborted when this is called because of an error.
        """
        if self.joined and distributed.is_initialized():
            if self.world > 1:
                gc.collect()  # wrapped modules refer to the group, and to themselves
            if self.device.type == "cuda" and sys.exc_info()[1] is not None:
                distributed.distributed_c10d._abort_process_group()
            else:
                distributed.destroy_process_group()

    @contextmanager
    def explain_lost_process(self) -> Iterator[None]:
        """A context in which the loss of another process, or a timeout, is raised as a BackendError."""
        try:
            yield
        except RuntimeError as error:
            if self.all == 1 or not _is_of_the_others(error):
                raise
            late = is_late(error)
            what = f"waited {self.timeout:g} s for the others in vain" if late else "lost the others"
            why = "one hangs, or is slow and needs a longer --timeout" if late else "one ended; it says why if it could"
            raise BackendError(
                f"process {self.number} of {self.all} {what}: {first_line(error)}",
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


def _is_of_the_others(error: RuntimeError) -> bool:
    """Whether another process caused the error.

    Gloo's errors name it or its files, except that of an exchange which failed because another one timed out.
    """
    return (
        isinstance(error, distributed.DistError | UnansweredError)
        or re.search("[Gg]loo|pair closure", str(error)) is not None
    )
