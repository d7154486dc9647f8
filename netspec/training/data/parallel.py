"""Work on samples, ahead of who needs it: in threads, since decoders let go of the GIL, and in processes by grain."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cache
from itertools import islice
from logging import LogRecord
from types import ModuleType
from typing import TypeVar, cast

from netspec.errors import NetspecError
from netspec.training.data.findings import needed_for
from netspec.training.interrupts import end_with_parent, uninterrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

PIECES = 4  # of a batch for each thread: small enough that all end at about the same time
AHEAD = 2  # pieces of work begun before they are asked for: one is computed while another waits to be taken


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """The process's threads for work on samples: shared, so that two batches in the making do not double them."""
    with uninterrupted():
        pool = ThreadPoolExecutor(threads, "netspec-samples")
        all_there = threading.Barrier(threads)
        for _ in range(threads):  # each keeps one thread until all have started
            pool.submit(all_there.wait)
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=thread_pool.cache_clear)  # threads do not come along: work would wait for ever


def pieces(count: int, threads: int) -> list[range]:
    """The numbers of a batch's samples, in pieces for threads."""
    size = max(1, -(-count // (PIECES * threads)))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """The results of a function in the order of its items, computed by the process's threads.

    Few results wait at any time, however many items there are; what raises, raises here.
    """
    pool, remaining = thread_pool(threads), iter(items)
    waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(remaining, 2 * threads))
    try:
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(remaining, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def ahead(work: Callable[[int], Result], start: int, stop: int, workers: int = 0) -> Generator[Result]:
    """The results of a function of start, start + 1, …, computed by grain before they are asked for.

    Closing the generator ends the processes, and the threads after the result that they are at.

    Args:
        work: the same for the same number, in any process; it is pickled for them.
        start: the first number.
        stop: the one after the last.
        workers: processes that share the numbers; 0 for threads of this one.

    Raises:
        NetspecError: grain is not installed, or a process died; and whatever `work` raises.
    """
    if start >= stop:
        return
    grain = _grain()
    # Not one a core: `work` has threads of its own. The second fills them where the first comes to its end.
    reading = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
    pieces = grain.MapDataset.range(start, stop).map(work).to_iter_dataset(reading)
    if workers:
        sharing = grain.multiprocessing.MultiprocessingOptions(min(workers, stop - start), per_worker_buffer_size=1)
        pieces = pieces.mp_prefetch(sharing, _begin_worker)
    with closing(iter(pieces)) as iterator:
        while True:
            try:
                result = cast("Result", next(iterator))
            except StopIteration:
                return
            except RuntimeError as error:
                ended = _worker_ended(error)
                if ended is None:
                    raise
                raise ended from error
            yield result


@cache
def _grain() -> ModuleType:
    """Grain, imported without a warning that JAX, which it would be profiled by, is not there."""
    with needed_for("reading data"):
        from absl import flags, logging  # noqa: PLC0415 # grain's own, where it warns and is configured

        logger = logging.get_absl_logger()
        logger.addFilter(_is_needed)
        try:
            import grain  # noqa: PLC0415 # it takes a second
        finally:
            logger.removeFilter(_is_needed)
    if not flags.FLAGS.is_parsed():  # it reads flags of absl, which refuses before; our command line is not absl's
        flags.FLAGS.mark_as_parsed()
    module: ModuleType = grain
    return module


def _is_needed(record: LogRecord) -> bool:
    return "jax" not in record.getMessage()


def _worker_ended(error: RuntimeError) -> NetspecError | None:
    """What grain says of a process that is no more, as the user's error."""
    found = re.match(r"Worker process was terminated.* exit code (-?\d+)", str(error))
    return found and NetspecError(
        f"a process that reads data ended unexpectedly, with exit code {found[1]}",
        "-9: out of memory, take fewer of them; 1: its traceback is above, and a script of your own has to call"
        ' netspec under `if __name__ == "__main__":`',
    )


def _begin_worker(index: int, count: int) -> None:
    del index, count
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as commands have it: what is wrong with an image is an error
    end_with_parent()
