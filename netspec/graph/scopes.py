"""Scopes: the instances of blocks in a network, and stacks of instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Argument = str | int | float | bool


class Formula(NamedTuple):
    """An expression in the definition of a block.

    Attributes:
        layer: the layer that has the expression; empty for the default of a parameter of the block.
        attribute: the attribute, such as `padding`, or one of its sides or axes, `padding.left`; or the parameter.
        code: the expression, such as `kernel_size // 2`; a default may also be a number.
    """

    layer: str
    attribute: str
    code: str


@dataclass(frozen=True, slots=True)
class Scope:
    """An instance of a block, or a stack of instances. Its members are the nodes with names `PATH.…`.

    Passes may change, add and remove members freely. Except for `path`, the attributes only make emitted source
    readable, so they may be out of date: an input may have another name by now, and an output may be gone.

    Attributes:
        path: the path, such as `stage2` for a stack and `stage2.1` for the second instance in it.
        block: the name of the block; empty for a stack.
        arguments: the arguments of the instance, by the block's parameters.
        inputs: the values that the instance reads, by the block's names for its inputs.
        outputs: the values that the instance returns, by the block's names for them, in its order.
        formulas: the expressions in the block.
        names: the value of each name in these expressions.
    """

    path: str
    block: str = ""
    arguments: tuple[tuple[str, Argument], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    formulas: tuple[Formula, ...] = field(default=(), compare=False, repr=False)
    names: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_stack(self) -> bool:
        """Whether it is a stack, whose members are instances numbered from 0 that each read the one before."""
        return not self.block


def ancestors(path: str) -> Iterator[str]:
    """Yield the paths of all scopes that contain a node or scope, outermost first.

    >>> list(ancestors("stage2.1.conv2"))
    ['stage2', 'stage2.1']
    """
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


def parent_of(path: str) -> str:
    """Return the path of the innermost scope that contains a node or scope; empty if there is none.

    >>> parent_of("stage2.1.conv2"), parent_of("conv1")
    ('stage2.1', '')
    """
    return path.rpartition(".")[0]
