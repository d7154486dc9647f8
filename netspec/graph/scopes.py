"""Parts of a network that stand together: instances of blocks, and stacks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Argument = str | int | float | bool


class Formula(NamedTuple):
    """What a block says by an expression.

    Attributes:
        layer: the layer in the block that it says it of; empty for the default of one of the block's parameters.
        attribute: of the layer, `padding`, or of one side or axis of it, `padding.left`; or the parameter.
        code: the expression, `kernel_size // 2`; of a default it may be a number.
    """

    layer: str
    attribute: str
    code: str


@dataclass(frozen=True, slots=True)
class Scope:
    """One part, whose members are the nodes with names `PATH.…`: a pass may change, add and remove them freely.

    Attributes:
        path: `stage2` of a stack, `stage2.1` of the second instance in it.
        block: what it is an instance of; empty for a stack.
        arguments: what the block was given, for names in emitted source; nothing depends on their values.
        inputs: what the block calls the values that it received, for the same; they may since have other names.
        outputs: what the block calls the values that it gives, in its order, for the same; some may since be gone.
        formulas: what the block says by expressions, for the same.
        seen: the values of the names in those.
    """

    path: str
    block: str = ""
    arguments: tuple[tuple[str, Argument], ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    formulas: tuple[Formula, ...] = field(default=(), compare=False, repr=False)
    seen: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_stack(self) -> bool:
        """Whether its members are instances, numbered from 0, each reading the one before."""
        return not self.block


def ancestors(path: str) -> Iterator[str]:
    """The paths of all that a node or scope stands in, outermost first.

    >>> list(ancestors("stage2.1.conv2"))
    ['stage2', 'stage2.1']
    """
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


def parent_of(path: str) -> str:
    """The path of what a node or scope stands in; empty for what stands in the network itself.

    >>> parent_of("stage2.1.conv2"), parent_of("conv1")
    ('stage2.1', '')
    """
    return path.rpartition(".")[0]
