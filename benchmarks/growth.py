"""The time of each stage of netspec as networks grow: chains of 10 to 1,000 layers and of 4 to 64 channels.

    python benchmarks/growth.py              prints a table, and profiles of the longest chain
    python benchmarks/growth.py STAGE        prints the profile of one stage

The time should be linear in the depth. It should hardly depend on the width, except in stages that touch every weight.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import statistics
import sys
import time
from collections.abc import Callable

from subjects.growth import STAGES, stage

DEPTHS, WIDTHS = (10, 100, 1_000), (4, 16, 64)
RUNS = {10: 9, 100: 5, 1_000: 3}


def main(*names: str) -> None:
    if names:
        profile(" ".join(names))
        return
    print(f"{'ms for layers':18}" + "".join(f"{depth:>10,}" for depth in DEPTHS) + "   per layer, 1,000 : 100")
    for name in STAGES:
        times = [seconds(stage(name, depth), RUNS[depth]) for depth in DEPTHS]
        row = "".join(f"{1e3 * t:10.1f}" for t in times)
        print(f"{name:18}{row}{times[2] / times[1] / 10:13.2f}", flush=True)
    print(f"\n{'ms for channels':18}" + "".join(f"{width:>10}" for width in WIDTHS) + "   100 layers")
    for name in STAGES:
        times = [seconds(stage(name, 100, width), 5) for width in WIDTHS]
        print(f"{name:18}" + "".join(f"{1e3 * t:10.1f}" for t in times), flush=True)
    for name in ("check", "lower to torch", "build in torch"):
        print(f"\nprofile: {name}")
        profile(name)


def profile(name: str) -> None:
    """Print the functions that take most of the time of a stage with 1,000 layers."""
    action = stage(name, 1_000)
    action()
    profiler = cProfile.Profile()
    profiler.runcall(action)
    stats = pstats.Stats(profiler)
    stats.strip_dirs().sort_stats("tottime").print_stats(10)


def seconds(action: Callable[[], None], runs: int) -> float:
    """Return the median time of a call, after one warm-up call."""
    action()
    gc.collect()
    gc.freeze()  # later collections must not walk the networks of the stages before
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
