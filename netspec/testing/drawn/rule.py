"""The `Rule` by which an op is drawn for random specs, and helpers that several rules share."""

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
ANY = frozenset({2, 3, 4, 5})


@dataclass(frozen=True)
class Rule:
    """How an op is drawn.

    Attributes:
        ranks: the ranks of inputs that the op accepts, including the batch.
        attributes: draws the attributes for an input of this type.
        weight: the relative frequency of the op.
    """

    ranks: frozenset[int]
    attributes: Callable[[Draw, TensorType], Attributes]
    weight: int = 1


def divisors(number: int) -> list[int]:
    """Return the divisors of a number in ascending order.

    >>> divisors(6)
    [1, 2, 3, 6]
    """
    return [d for d in range(1, number + 1) if number % d == 0]


def of(**choices: Sequence[Any]) -> Callable[[Draw, TensorType], Attributes]:
    """Return a function that draws each attribute from its choices, independently of the input."""
    return lambda draw, x: {name: draw(st.sampled_from(values)) for name, values in choices.items()}
