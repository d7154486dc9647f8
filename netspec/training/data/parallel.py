"""Parallel and prefetched work on samples: in threads, since decoders release the GIL, or in processes, by grain."""

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

# Small enough that all threads finish a batch at about the same time; each chunk costs a hand-over between threads.
CHUNKS_PER_THREAD = 2
AHEAD = 2  # results computed ahead of the consumer: one is in progress while another waits


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Return the process's pool for work on samples, shared so that two batches in progress do not double it."""
    with uninterrupted():
        pool = ThreadPoolExecutor(threads, "netspec-samples")
        all_started = threading.Barrier(threads)
        for _ in range(threads):  # each task occupies a thread until all threads have started
            pool.submit(all_started.wait)
    return pool


if hasattr(os, "register_at_fork"):
    # A fork does not copy threads: work submitted to the parent's pool would never run.
    os.register_at_fork(after_in_child=thread_pool.cache_clear)


def split_range(count: int, threads: int) -> list[range]:
    """Split range(count) into contiguous chunks, a few per thread."""
    size = max(1, -(-count // (CHUNKS_PER_THREAD * threads)))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Map a function over items in the process's thread pool; yield the results in order.

    At most 2 · `threads` items are in progress or waiting, however many there are. Exceptions of `work` propagate.
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


def prefetch(work: Callable[[int], Result], start: int, stop: int, workers: int = 0) -> Generator[Result]:
    """Yield work(start), work(start + 1), …, work(stop - 1), computed ahead by grain.

    Closing the generator ends the worker processes; threads end after the result that they are computing.

    Args:
        work: a pure function, picklable if there are workers.
        start: the first argument.
        stop: the argument after the last.
        workers: number of processes; 0 computes in threads of this process.

    Raises:
        NetspecError: grain is not installed, or a worker process died. Exceptions of `work` propagate.
    """
    if start >= stop:
        return
    grain = _grain()
    # Two threads, not one per core: `work` uses the thread pool. The second keeps the pool busy as the first ends.
    options = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
    results = grain.MapDataset.range(start, stop).map(work).to_iter_dataset(options)
    if workers:
        processes = grain.multiprocessing.MultiprocessingOptions(min(workers, stop - start), per_worker_buffer_size=1)
        results = results.mp_prefetch(processes, _begin_worker)
    with closing(iter(results)) as iterator:
        while True:
            try:
                result = cast("Result", next(iterator))
            except StopIteration:
                return
            except RuntimeError as error:
                worker_error = _worker_error(error)
                if worker_error is None:
                    raise
                raise worker_error from error
            yield result


@cache
def _grain() -> ModuleType:
    """Import grain, without its warning that JAX, which it only needs for profiling, is missing."""
    with needed_for("reading data"):
        from absl import flags, logging  # noqa: PLC0415 # grain logs and is configured through absl

        logger = logging.get_absl_logger()
        logger.addFilter(_is_relevant)
        try:
            import grain  # noqa: PLC0415 # the import takes a second
        finally:
            logger.removeFilter(_is_relevant)
    if not flags.FLAGS.is_parsed():  # grain reads absl flags, which raise until parsed; our command line is not absl's
        flags.FLAGS.mark_as_parsed()
    module: ModuleType = grain
    return module


def _is_relevant(record: LogRecord) -> bool:
    return "jax" not in record.getMessage()


def _worker_error(error: RuntimeError) -> NetspecError | None:
    """Return the user's error if grain reports that a worker process died, otherwise None."""
    match = re.match(r"Worker process was terminated.* exit code (-?\d+)", str(error))
    return match and NetspecError(
        f"a process that reads data ended unexpectedly, with exit code {match[1]}",
        "-9 means out of memory: use fewer of these processes; for 1, see its traceback above: your own script has to"
        ' call netspec under `if __name__ == "__main__":`',
    )


def _begin_worker(index: int, count: int) -> None:
    del index, count
    # As in the commands: Pillow's warnings are noise, an image that cannot be used is reported as an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    end_with_parent()
