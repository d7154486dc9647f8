"""A backend's table from op to lowering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netspec.errors import BackendError, UnsupportedError
from netspec.graph import Graph, Node
from netspec.ops.base import Op

OpT = TypeVar("OpT", bound=Op)
Out = TypeVar("Out")
Lowering = Callable[[Any, Node, Any], None]  # (op, node, out); `out` is the backend's writer


class Lowerings:
    """A backend's table from op to lowering, filled by the decorator `lowers`, and the ops that it does not support.

    >>> from netspec.ops import Relu
    >>> table = Lowerings("example")
    >>> @table.lowers(Relu)
    ... def relu(op, node, out):
    ...     out.append(node.name)
    >>> table.find(Relu) is relu
    True
    """

    def __init__(self, backend: str, unsupported: Mapping[type[Op], str] | None = None) -> None:
        self.backend = backend
        self.unsupported = dict(unsupported or {})
        self._table: dict[type[Op], Lowering] = {}

    def lowers(self, *ops: type[OpT]) -> Callable[[Callable[[OpT, Node, Out], None]], Callable[[OpT, Node, Out], None]]:
        """Register the decorated function, `(op, node, out) -> None`, as the lowering of these ops."""

        def register(lowering: Callable[[OpT, Node, Out], None]) -> Callable[[OpT, Node, Out], None]:
            for op in ops:
                if op in self._table:
                    raise BackendError(f"{self.backend}: {op.kind} is lowered twice")
                self._table[op] = lowering
            return lowering

        return register

    def find(self, op: type[Op]) -> Lowering:
        """Return the lowering of an op.

        Raises:
            UnsupportedError: there is none; the message states the reason.
        """
        if op in self._table:
            return self._table[op]
        raise UnsupportedError(f"the {self.backend} backend does not support {op.kind}: {self.reason(op)}")

    def reason(self, op: type[Op]) -> str:
        """Return why there is no lowering of an op."""
        return self.unsupported.get(op, "it has no lowering for it")

    def lower(self, graph: Graph, out: object) -> None:
        """Lower each node of a graph in order, with the backend's writer.

        Raises:
            UnsupportedError: an op has no lowering.
        """
        for node in graph.nodes:
            self.find(type(node.op))(node.op, node, out)

    @property
    def supported(self) -> frozenset[type[Op]]:
        """The ops that have a lowering."""
        return frozenset(self._table)
