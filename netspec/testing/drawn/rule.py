"""What a rule is, by which an op is drawn for random specs, and what several rules share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from netspec.types import TensorType

Attributes = dict[str, Any]
Draw = st.DrawFn

MOST_CHANNELS = 8
MAP = frozenset({4})
ANY = frozenset({2, 3, 4})


@dataclass(frozen=True)
class Rule:
    """Which inputs an op takes, by rank with the batch counted; its attributes for one of them; how often it comes."""

    ranks: frozenset[int]
    attributes: Callable[[Draw, TensorType], Attributes]
    weight: int = 1


def divisors(number: int) -> list[int]:
    """Its divisors, rising.

    >>> divisors(6)
    [1, 2, 3, 6]
    """
    return [d for d in range(1, number + 1) if number % d == 0]


def of(**choices: Sequence[Any]) -> Callable[[Draw, TensorType], Attributes]:
    """Attributes that do not depend on the input."""
    return lambda draw, x: {name: draw(st.sampled_from(values)) for name, values in choices.items()}
