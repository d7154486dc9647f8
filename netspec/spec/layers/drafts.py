"""A layer as it was read, before it is known what its names mean."""

from __future__ import annotations

from typing import NamedTuple

from netspec.ops import Op
from netspec.spec.layers.uses import Use
from netspec.spec.model import LayerSpec, UseSpec
from netspec.spec.text.document import MappingNode, Position


class Reading(NamedTuple):
    """A value that a layer says it reads, and where it says so."""

    name: str
    at: Position


class DraftLayer(NamedTuple):
    """A layer whose op or use may have failed to validate (both None), its inputs not yet resolved.

    Attributes:
        inputs: None for a layer that reads the one before.
        broken: whether what it reads cannot be known.
        kind: the name of the op, also where its attributes are not right, or not known yet.
        block: the name of the block, also where the use of it is not right.
        outputs: the names of a block's outputs; empty for an op, None where they cannot be known.
        dropped: whether `when`, or `repeat: 0`, leaves it out.
    """

    name: str
    at: Position
    op: Op | None = None
    inputs: tuple[Reading, ...] | None = None
    broken: bool = False
    attributes: MappingNode | None = None
    default_initializers: frozenset[str] = frozenset()
    use: Use | None = None
    kind: str = ""
    block: str = ""
    outputs: tuple[str, ...] | None = ()
    dropped: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with what it says of itself."""
        return (self.op is not None or self.use is not None) and self.attributes is not None

    def connected(self, reads: tuple[str, ...]) -> LayerSpec | UseSpec:
        """The layer that a whole draft is, and what it reads."""
        assert self.attributes is not None  # noqa: S101 # `is_whole` says so
        if (use := self.use) is not None and use.instances is not None:
            return UseSpec(self.name, self.block, use.instances, use.stacked, reads, self.at, self.attributes)
        assert self.op is not None  # noqa: S101
        return LayerSpec(self.name, self.op, reads, self.at, self.attributes, self.default_initializers)
