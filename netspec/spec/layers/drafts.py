"""A layer as it was read, before its references are resolved."""

from __future__ import annotations

from typing import NamedTuple

from netspec.ops import Op
from netspec.spec.layers.uses import Use
from netspec.spec.model import LayerSpec, UseSpec
from netspec.spec.text.document import MappingNode, Position


class Reference(NamedTuple):
    """The name of a value that a layer lists under `inputs:`, and its position."""

    name: str
    at: Position


class DraftLayer(NamedTuple):
    """A layer whose references are not resolved. `op` and `use` are both None if it is not valid.

    Attributes:
        at: position of the layer's name.
        op: the op, for a layer that is one.
        inputs: the values that it lists under `inputs:`; None if it lists none, and reads the layer before it.
        broken: whether it cannot be known which values it reads.
        attributes: its attributes in the document, with defaults.
        default_initializers: weights whose initializer comes from `defaults`.
        use: the use of a block, for a layer that is one.
        kind: name of the op, also if its attributes are wrong, or not known yet.
        block: name of the block, also if its arguments are wrong.
        outputs: names of the block's outputs; empty for an op, None if they cannot be known.
        dropped: whether `when`, or `repeat: 0`, leaves it out.
    """

    name: str
    at: Position
    op: Op | None = None
    inputs: tuple[Reference, ...] | None = None
    broken: bool = False
    attributes: MappingNode | None = None
    default_initializers: frozenset[str] = frozenset()
    use: Use | None = None
    kind: str = ""
    block: str = ""
    outputs: tuple[str, ...] | None = ()
    dropped: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether the layer itself has no problem; its references may have."""
        return (self.op is not None or self.use is not None) and self.attributes is not None

    def connected(self, reads: tuple[str, ...]) -> LayerSpec | UseSpec:
        """The layer with its resolved inputs. The draft has to be valid."""
        assert self.attributes is not None  # noqa: S101 # see `is_valid`
        if (use := self.use) is not None and use.instances is not None:
            return UseSpec(self.name, self.block, use.instances, use.stacked, reads, self.at, self.attributes)
        assert self.op is not None  # noqa: S101
        return LayerSpec(self.name, self.op, reads, self.at, self.attributes, self.default_initializers)
