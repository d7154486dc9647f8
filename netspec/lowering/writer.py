"""The base of the writers of Python source: it knows the part that each node belongs to, and its variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from netspec.graph import Graph, Node
from netspec.lowering.artifact import Binding
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.equal_parts import all_parts
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.python.definitions import Definition, Module
from netspec.lowering.python.render import render
from netspec.lowering.python.slices import slices_to
from netspec.lowering.python.source import Expression, Literal, Name, Subscript
from netspec.lowering.python.statements import Unpack
from netspec.lowering.support import Support, import_groups, used_imports

DraftT = TypeVar("DraftT", bound=PartDraft)


class PartsWriter(ABC, Generic[DraftT]):
    """The framework-independent base of the `out` argument of lowerings that write source.

    Args:
        graph: the graph to write.
        root: the tree of its parts.
        drafts: the draft of each part, by path.
    """

    def __init__(self, graph: Graph, root: Part, drafts: Mapping[str, DraftT]) -> None:
        self._graph, self._root, self._drafts = graph, root, drafts
        self._homes = {  # the draft of the part that each node is a member of
            member.name: draft for draft in drafts.values() for member in draft.part.members if isinstance(member, Node)
        }
        self._counterparts: dict[tuple[str, str], list[Node]] = {}  # by block, and name within it
        self._bindings: list[Binding] = []
        self._support: dict[str, None] = {}  # the modules of `support/` that the source has copies of
        self._results: dict[tuple[object, ...], bool] = {}  # of `_over_instances`, by its arguments
        for node in graph.nodes:
            self._counterparts.setdefault(self.place_of(node), []).append(node)

    def inputs(self, node: Node) -> tuple[Name, ...]:
        """The variables that hold a node's inputs."""
        home = self._homes[node.name]
        return tuple(home.variable(value) for value in node.inputs)

    def first_input(self, node: Node) -> Name:
        """A variable with the batch size, for a node without inputs."""
        return self._homes[node.name].first_input()

    def all_instances(self, node: Node, predicate: Callable[[Node], bool]) -> bool:
        """Whether a predicate holds for a node and its counterparts in other instances of its block.

        Instances may share the code of the node, so a choice in it has to be right for all of them.

        Args:
            node: the node.
            predicate: a module-level function; results are cached by it.
        """
        return self._over_instances(node, predicate, all)

    def all_equal(self, node: Node, key: Callable[[Node], object]) -> bool:
        """Whether a node and its counterparts in other instances of its block give equal keys.

        Args:
            node: the node.
            key: a module-level function; results are cached by it.
        """
        return self._over_instances(node, key, _are_equal)

    def is_read_alike(self, node: Node) -> bool:
        """Whether the counterparts of a node in other instances of its block have the same readers in the block."""
        return self._over_instances(node, self._local_readers, _are_equal)

    def place_of(self, node: Node) -> tuple[str, str]:
        """The block that a node is in, and its name there, which its counterparts in other instances have too.

        Outside of blocks, the name is the whole one.
        """
        part = self._homes[node.name].part
        return part.block, local_name(node, part)

    def counterparts(self, node: Node) -> tuple[Node, ...]:
        """A node and its counterparts in other instances of its block."""
        return tuple(self._counterparts[self.place_of(node)])

    def _over_instances(
        self, node: Node, ask: Callable[[Node], object], conclude: Callable[[Iterable[object]], bool]
    ) -> bool:
        """What follows from what a function gives for a node and its counterparts; computed once for all of them."""
        place = self.place_of(node)
        if (place, ask, conclude) not in self._results:
            self._results[place, ask, conclude] = conclude(map(ask, self._counterparts[place]))
        return self._results[place, ask, conclude]

    def _local_readers(self, node: Node) -> tuple[str, ...]:
        home = self._homes[node.name]
        readers = self._graph.readers[node.name]
        return tuple(local_name(each, home.part) for each in readers if self._homes[each.name] is home)

    @abstractmethod
    def assign(self, node: Node, value: Expression) -> Name:
        """Assign the output of a node, with a comment if its shape is new; return the variable that holds it."""

    def assign_part(self, node: Node, parts: Expression, number: int) -> None:
        """Assign one of equal parts to the output of a node; all of them at once if all are taken in its part.

        Args:
            node: a slice that takes one of equal parts.
            parts: an expression for the sequence of all parts.
            number: the index of the node's part.
        """
        home = self._homes[node.name]
        together = all_parts(home.part.members, node)
        if not together:
            self.assign(node, Subscript(parts, (Literal(number),)))
        elif node is min(together, key=home.part.members.index):
            home.run(node, Unpack(tuple(home.variable(each.name).path for each in together), parts))

    def slices_to(self, node: Node) -> tuple[Node, ...]:
        """The slices that are written as one subscript ending with this slice; empty if the next one includes it."""
        home = self._homes[node.name]
        row = slices_to(self._graph, home.part, node)
        if not row:
            home.alias(node.name, node.inputs[0])
        return row

    def _source(
        self, support: Sequence[Support], definitions: Sequence[Definition], imports: Mapping[str, str], needs: str
    ) -> str:
        """The emitted source: support code, and the definitions, after the imports that they use.

        Args:
            support: the support modules.
            definitions: the classes or functions of the network.
            imports: the import lines that definitions may need, by the names that they import.
            needs: the framework that the source needs.
        """
        lines = [line for module in support for line in module.imports] + used_imports(imports, definitions)
        title = self._graph.name + (f": {self._graph.source}" if self._graph.source else "")
        docstring = f"{title}\n\nEmitted by netspec from a layer spec; needs {needs} alone."
        body = (*(module.definitions for module in support), *definitions)
        return render(Module(docstring, import_groups(lines), body))


def _are_equal(values: Iterable[object]) -> bool:
    return len(set(values)) == 1
