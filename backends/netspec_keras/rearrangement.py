"""Reshapes and permutations in a row, as the fewest layers that do the same in the layout of Keras.

All axes are divided into factors that no reshape of the row divides further. Then the row as a whole, with the changes
of layout before and after it, does nothing but put these factors in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, NamedTuple, TypeAlias

from netspec.graph import Node
from netspec.lowering.python.source import Call, call
from netspec.ops import Permute, Reshape
from netspec_keras.layout import native_order

TOKENS: Final = 2  # the axes of tokens: their number, and the features of each
Sizes: TypeAlias = tuple[int, ...]  # in each instance of a block
Axes: TypeAlias = list[list[int]]  # the factors of each axis, by number, from the slowest to the fastest


class Step(NamedTuple):
    """A layer, what it is called unless it is the last, and the native shape of its output."""

    layer: Call
    role: str
    features: tuple[int, ...]


@dataclass(slots=True)
class Rearrangement:
    """A value whose axes are products of numbered factors, in all instances of a block.

    Attributes:
        source: the factors of its axes as it arrives in Keras.
        axes: the factors of its axes in the order of the graph.
        sizes: the sizes of each factor in all instances.
    """

    source: Axes
    axes: Axes
    sizes: list[Sizes]

    @classmethod
    def of_inputs(cls, nodes: Iterable[Node]) -> Rearrangement:
        """What a node reads, given the node in all instances; its axes have one factor each."""
        values = [node.input_types[0] for node in nodes]
        rank = values[0].rank
        native = [[axis - 1] for axis in native_order(rank)[1:]]
        return cls(native, [[axis] for axis in range(rank - 1)], [*zip(*(v.features for v in values), strict=True)])

    def continued(self, nodes: Sequence[Node], instances: Sequence[int]) -> Rearrangement | None:
        """The value after one more reshape or permutation; None if it joins parts of axes and divides others.

        Args:
            nodes: the node in some of the instances, which go on alike.
            instances: the indices of these instances.
        """
        sizes = [tuple(of_factor[index] for index in instances) for of_factor in self.sizes]
        value = Rearrangement(self.source, self.axes, sizes)
        if isinstance(nodes[0].op, Permute):
            value.permute(nodes[0].op.axes)
        elif not value.reshape([*zip(*(node.type.features for node in nodes), strict=True)]):
            return None
        return value

    def permute(self, order: Sequence[int]) -> None:
        """Put the axes into another order; 1 is the first."""
        self.axes = [self.axes[axis - 1] for axis in order]

    def reshape(self, shapes: Sequence[Sizes]) -> bool:
        """Divide and join axes, given the sizes of each axis; return whether they are products of factors."""
        pool = list(chain(*self.axes))
        joined: Axes = []
        for sizes in shapes:
            axis: list[int] = []
            rest = sizes
            while any(size > 1 for size in rest) or (pool and not axis):
                factor = pool[0]
                if not _divides(self.sizes[factor], rest):
                    if not _divides(rest, self.sizes[factor]):
                        return False
                    pool = self._divide(factor, rest, pool)
                axis.append(pool.pop(0))
                rest = _quotient(rest, self.sizes[factor])
            joined.append(axis)
        joined[-1] += pool  # what is left has size 1
        self.axes = joined
        return True

    def _divide(self, factor: int, slower: Sizes, pool: list[int]) -> list[int]:
        """Make a factor the slower one of two, of these sizes; return the pool with both."""
        faster = len(self.sizes)
        self.sizes.append(_quotient(self.sizes[factor], slower))
        self.sizes[factor] = slower
        self.source = [_with_both(axis, factor, faster) for axis in self.source]
        return _with_both(pool, factor, faster)

    def steps(self, instance: int) -> list[Step]:
        """The steps from the value as it arrives to the native layout of the result; none if nothing changes.

        Args:
            instance: the index of the instance that they are for.
        """
        native = [self.axes[axis - 1] for axis in native_order(len(self.axes) + 1)[1:]]
        source, target = ([[*filter(self._is_used, axis)] for axis in axes] for axes in (self.source, native))
        before, after = list(chain(*source)), list(chain(*target))
        if before == after:
            return self._reshaped(source, target, instance)
        for parts in (source, target, _common_runs(before, after)):
            if _stand_together(parts, before) and _stand_together(parts, after):
                break
        first = sorted(parts, key=lambda part: before.index(part[0]))
        last = sorted(parts, key=lambda part: after.index(part[0]))
        order = tuple(first.index(part) + 1 for part in last)
        permuted = Step(call("layers.Permute", order), "permuted", self._shape(last, instance))
        return [*self._reshaped(source, first, instance), permuted, *self._reshaped(last, target, instance)]

    def _reshaped(self, given: Axes, wanted: Axes, instance: int) -> list[Step]:
        """A reshape, unless both have the same axes; Keras infers the number of tokens that were a map."""
        if given == wanted:
            return []
        shape = self._shape(wanted, instance)
        joins = [index for index, axis in enumerate(wanted) if len(axis) > 1 and axis not in given]
        inferred = joins[:1] if len(wanted) == TOKENS else []
        sizes = tuple(-1 if index in inferred else size for index, size in enumerate(shape))
        return [Step(call("layers.Reshape", sizes), "parts", shape)]

    def _shape(self, axes: Axes, instance: int) -> tuple[int, ...]:
        return tuple(math.prod(self.sizes[factor][instance] for factor in axis) for axis in axes)

    def _is_used(self, factor: int) -> bool:
        """Whether a factor is not 1 everywhere, in which case it may be in any place."""
        return any(size > 1 for size in self.sizes[factor])


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """Reshapes and permutations in a row that some instances of a block have alike.

    Attributes:
        value: what they do together; None if each needs layers of its own.
        instances: the index of each instance, by its path.
    """

    value: Rearrangement | None
    instances: Mapping[str, int]


def is_rearranging(node: Node) -> bool:
    """Whether a node only reshapes or permutes a value."""
    return isinstance(node.op, Reshape | Permute)


def form_of(node: Node) -> tuple[object, ...]:
    """What is equal in nodes that do the same with values of other sizes."""
    given = node.op.axes if isinstance(node.op, Permute) else node.type.rank
    return node.input_types[0].rank, type(node.op), given


def _divides(sizes: Sizes, others: Sizes) -> bool:
    return all(other % size == 0 for size, other in zip(sizes, others, strict=True))


def _quotient(sizes: Sizes, others: Sizes) -> Sizes:
    return tuple(size // other for size, other in zip(sizes, others, strict=True))


def _with_both(axis: list[int], factor: int, faster: int) -> list[int]:
    """The factors of an axis with a new one after the one that it was divided from."""
    return [each for known in axis for each in ((known, faster) if known == factor else (known,))]


def _common_runs(before: Sequence[int], after: Sequence[int]) -> Axes:
    """The longest runs of factors that stand together in both orders."""
    follows = set(pairwise(after))
    runs: Axes = [[before[0]]]
    for previous, factor in pairwise(before):
        if (previous, factor) in follows:
            runs[-1].append(factor)
        else:
            runs.append([factor])
    return runs


def _stand_together(parts: Axes, order: Sequence[int]) -> bool:
    """Whether no part is empty, and the factors of each stand together in this order of all factors."""
    return all(part and list(order[order.index(part[0]) :][: len(part)]) == part for part in parts)
