"""What the writers of Python source share: where a node stands among the parts, and what it reads there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from netspec.graph import Graph, Node
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.python.slices import parts_with, slices_to
from netspec.lowering.python.source import Expression, Name, Subscript, Unpack

DraftT = TypeVar("DraftT", bound=PartDraft)


class PartsWriter(ABC, Generic[DraftT]):
    """The `out` of lowerings that write source, as far as it is the same in every framework.

    Args:
        graph: what is written.
        root: the tree of its parts.
        drafts: of each part, by path.
    """

    def __init__(self, graph: Graph, root: Part, drafts: Mapping[str, DraftT]) -> None:
        self._graph, self._root, self._drafts = graph, root, drafts
        self._homes = {
            member.name: draft for draft in drafts.values() for member in draft.part.members if isinstance(member, Node)
        }
        self._alike: dict[tuple[str, str], list[Node]] = {}
        self._held: dict[tuple[str, str, Callable[[Node], bool]], bool] = {}
        for node in graph.nodes:
            part = self._homes[node.name].part
            self._alike.setdefault((part.block, local_name(node, part)), []).append(node)

    def inputs(self, node: Node) -> tuple[Name, ...]:
        """The variables that hold a node's inputs."""
        home = self._homes[node.name]
        return tuple(home.variable(value) for value in node.inputs)

    def first_input(self, node: Node) -> Name:
        """A variable that holds as many samples as there are where a node stands."""
        return self._homes[node.name].first_input()

    def all_alike(self, node: Node, holds: Callable[[Node], bool]) -> bool:
        """Whether something holds of a node, and of those in its place in other instances: they may share its code.

        Args:
            node: one of them.
            holds: what may hold; a function of a module, by which the answer is kept.
        """
        own = self._homes[node.name].part
        if not own.block:
            return holds(node)
        place = (own.block, local_name(node, own))
        if (*place, holds) not in self._held:
            self._held[(*place, holds)] = all(holds(each) for each in self._alike[place])
        return self._held[(*place, holds)]

    @abstractmethod
    def assign(self, node: Node, value: Expression) -> Name:
        """The output of a node, with its shape in a comment where it is a new one; the variable that holds it."""

    def assign_part(self, node: Node, parts: Expression, number: int) -> None:
        """The output of a node is one of several parts: all of them at once, where they stand together."""
        home = self._homes[node.name]
        together = parts_with(home.part, node)
        if not together:
            self.assign(node, Subscript(parts, (number,)))
        elif node is min(together, key=home.part.members.index):
            home.run(node, Unpack(tuple(home.variable(each.name).path for each in together), parts))

    def slices_to(self, node: Node) -> tuple[Node, ...]:
        """The slices that are written as one with this one; none where it is written with the next."""
        home = self._homes[node.name]
        row = slices_to(self._graph, home.part, node)
        if not row:
            home.stand_for(node.name, node.inputs[0])
        return row
