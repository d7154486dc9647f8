"""Drafts of modules: for each part of a graph, the layers that it declares and the statements of its `forward`."""

from __future__ import annotations

from collections.abc import Collection

from netspec.graph import Graph, Node
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.parts import Part, local_name
from netspec.lowering.python.naming import available, identifier
from netspec.lowering.python.source import Call, Expression, Name, Subscript


class ModuleDraft(PartDraft):
    """The draft of a part that becomes a module.

    Args:
        part: the part.
        graph: the graph that contains it.
        path: the prefix of its weights in the state dict; empty for the network.
        reserved: names that no attribute may have.
    """

    def __init__(self, part: Part, graph: Graph, path: str, reserved: Collection[str]) -> None:
        super().__init__(part, graph)
        self._path = path
        self._reserved = reserved
        self._attributes: dict[str, str] = {}
        self._declarations: dict[str, Expression] = {}

    def attribute(self, member: Node | Part) -> str:
        """The name of the attribute that holds a member."""
        local = local_name(member, self.part)
        if local not in self._attributes:
            self._attributes[local] = available(identifier(local), {*self._reserved, *self._attributes.values()})
        return self._attributes[local]

    def path_of(self, member: Node | Part) -> str:
        """The path of a member in the state dict; members of a stack have their number or key."""
        name = local_name(member, self.part) if self.part.is_stack else self.attribute(member)
        return f"{self._path}.{name}" if self._path else name

    def declare(self, node: Node, layer: Expression) -> Name:
        """Record the layer of a node, and return the name `self.NODE`."""
        self._declarations[local_name(node, self.part)] = layer
        return Name(f"self.{self.attribute(node)}")

    def declaration(self, node: Node) -> Expression | None:
        """The layer declared for a node, or None."""
        return self._declarations.get(local_name(node, self.part))


def draft_parts(graph: Graph, root: Part, reserved: Collection[str]) -> dict[str, ModuleDraft]:
    """A draft of each part by path, with the calls of its inner parts; lowerings add the statements of its nodes."""
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
    """Add a call of an inner part to a draft, or a call of each part of a stack that is not a chain."""
    module = Name(f"self.{draft.attribute(member)}")
    callees: list[tuple[Part, Expression]] = [(member, module)]
    if member.is_stack and not member.is_chain:
        is_list = member.is_numbered
        callees = [(each, Subscript(module, (int(each.name) if is_list else each.name,))) for each in member.instances]
    for part, expression in callees:
        *received, returned = (graph.type_of(value) for value in (*part.inputs, part.outputs[0]))
        applied = Call(expression, tuple(draft.variable(value) for value in part.inputs))
        draft.run(member, draft.assign(part, applied, "" if returned in received else str(returned)))
