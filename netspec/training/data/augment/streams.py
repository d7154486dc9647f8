"""Random streams of single samples, independent of which other samples are drawn with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from netspec.weights import stream


def stream_of_each(seed: int, purpose: str, epoch: int, indices: NDArray[np.int64]) -> Iterator[np.random.Generator]:
    """Yield the random stream of each sample, a function of seed, purpose, epoch and index.

    The generator object is reused: draw from it before advancing to the next sample.

    Args:
        seed: the seed of the recipe.
        purpose: names what is drawn; different purposes have independent streams.
        epoch: from 0.
        indices: the indices of the samples in their dataset.
    """
    random = stream(seed, purpose, str(epoch))
    state = random.bit_generator.state
    for index in indices.tolist():
        # Each sample gets a range of Philox's counter: as independent as a new stream, in a quarter of the time.
        state["state"]["counter"][1] = index
        random.bit_generator.state = state
        yield random
