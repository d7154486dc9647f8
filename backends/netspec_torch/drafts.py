"""What is emitted for each part of a graph: the modules that it declares, and the statements that compute it."""

from __future__ import annotations

from collections.abc import Collection

from netspec.graph import Graph, Node
from netspec.lowering.blocks.drafts import PartDraft, new_shape
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.python.naming import available, identifier
from netspec.lowering.python.source import Call, Expression, Name, Subscript


class ModuleDraft(PartDraft):
    """A part that will be a module.

    Args:
        part: what it is made of.
        graph: where the part is.
        path: where it is in the model's state; empty for the network.
        reserved: names that no attribute may have.
    """

    def __init__(self, part: Part, graph: Graph, path: str, reserved: Collection[str]) -> None:
        super().__init__(part, graph)
        self._path = path
        self._reserved = reserved
        self._attributes: dict[str, str] = {}
        self._declarations: dict[str, Expression] = {}

    def attribute(self, member: Node | Part) -> str:
        """What holds a member that is a module."""
        local = local_name(member, self.part)
        if local not in self._attributes:
            self._attributes[local] = available(identifier(local), {*self._reserved, *self._attributes.values()})
        return self._attributes[local]

    def path_of(self, member: Node | Part) -> str:
        """Where a member is in the model's state; in a stack by its number."""
        own = local_name(member, self.part) if self.part.is_stack else self.attribute(member)
        return f"{self._path}.{own}" if self._path else own

    def declare(self, node: Node, layer: Expression) -> Name:
        """`self.NODE`, which is this layer."""
        self._declarations[local_name(node, self.part)] = layer
        return Name(f"self.{self.attribute(node)}")

    def declaration(self, node: Node) -> Expression | None:
        """The layer that was declared for a node, if any."""
        return self._declarations.get(local_name(node, self.part))


def draft_parts(graph: Graph, root: Part, reserved: Collection[str]) -> dict[str, ModuleDraft]:
    """A draft of each part by path: those within are called already, and what computes nodes is to come."""
    drafts: dict[str, ModuleDraft] = {}

    def add(part: Part, path: str) -> None:
        draft = drafts[part.path] = ModuleDraft(part, graph, path, reserved)
        for member in part.members:
            if isinstance(member, Part):
                add(member, draft.path_of(member))
                if not part.is_stack:
                    _call(graph, draft, member)

    add(root, "")
    return drafts


def _call(graph: Graph, draft: ModuleDraft, member: Part) -> None:
    """The statements that compute a part within: a call of it, or of each in a stack that is no chain."""
    module = Name(f"self.{draft.attribute(member)}")
    called: list[tuple[Part, Expression]] = [(member, module)]
    if member.is_stack and not member.is_chain:
        parts = [each for each in member.members if isinstance(each, Part)]
        counted = [part.name for part in parts] == [str(index) for index in range(len(parts))]
        called = [(part, Subscript(module, (int(part.name) if counted else part.name,))) for part in parts]
    for part, expression in called:
        comment = new_shape([graph.type_of(value) for value in part.inputs], graph.type_of(part.outputs[0]))
        applied = Call(expression, tuple(draft.variable(value) for value in part.inputs))
        draft.run(member, draft.assign(part, applied, comment))
