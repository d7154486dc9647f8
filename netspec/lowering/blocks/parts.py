"""A graph as the tree of parts that emitted source keeps: the network, stacks in it, and instances of blocks.

The tree is read off the nodes as they stand. A scope whose nodes are not together any more, because a pass moved some
of them, is no part: what was in it stands in what is around it, and computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from netspec.graph import Graph, Node, Scope
from netspec.graph.scopes import ancestors


@dataclass(frozen=True, eq=False)
class Part:
    """Nodes that stand together, and parts within.

    Attributes:
        scope: what it is; None of the network itself.
        name: what it is called where it stands.
        members: in order.
        inputs: the values from outside that it reads: as its block receives them, or in the order of reading.
        outputs: the values of it that are read outside; of a block those that it says it gives, in its order, first.
    """

    scope: Scope | None
    name: str
    members: tuple[Node | Part, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def path(self) -> str:
        """Its path; empty of the network itself."""
        return self.scope.path if self.scope else ""

    @property
    def block(self) -> str:
        """The block that it is an instance of; empty of a stack, and of the network."""
        return self.scope.block if self.scope else ""

    @property
    def is_stack(self) -> bool:
        """Whether it is a stack of instances."""
        return self.scope is not None and self.scope.is_stack

    @cached_property
    def instances(self) -> tuple[Part, ...]:
        """The parts among its members."""
        return tuple(member for member in self.members if isinstance(member, Part))

    @cached_property
    def is_linked(self) -> bool:
        """Whether it is a stack whose instances are numbered from 0, and each hands its outputs to the next alone.

        An instance reads the outputs of the one before as its first inputs, and then `constant_inputs`. What is read
        outside of the stack are outputs of the last one.
        """
        parts = self.instances
        if not self.is_stack or [part.name for part in parts] != [str(i) for i in range(len(parts))]:
            return False
        linked = all(b.inputs == (*a.outputs, *self.constant_inputs) for a, b in pairwise(parts))
        return linked and set(self.outputs) <= set(parts[-1].outputs)

    @cached_property
    def constant_inputs(self) -> tuple[str, ...]:
        """The values that every instance of a linked stack but the first reads beside the outputs of the one before."""
        parts = self.instances
        return parts[1].inputs[len(parts[0].outputs) :] if len(parts) > 1 else ()

    @property
    def is_chain(self) -> bool:
        """Whether it is a linked stack whose instances map one value to one, as those of `nn.Sequential` do."""
        return self.is_linked and all(len(part.inputs) == len(part.outputs) == 1 for part in self.instances)

    def walk(self) -> Iterator[Part]:
        """It, and all parts within, those within first."""
        for member in self.members:
            if isinstance(member, Part):
                yield from member.walk()
        yield self


def local_name(member: Node | Part, around: Part) -> str:
    """What a member is called within a part."""
    if isinstance(member, Part):
        return member.name
    return member.name[len(around.path) + 1 :] if around.path else member.name


def values_of(member: Node | Part) -> tuple[str, ...]:
    """The values that a member gives to what is around it."""
    return member.outputs if isinstance(member, Part) else (member.name,)


def split(graph: Graph) -> Part:
    """The tree of a graph's parts.

    >>> from netspec.graph import Input, make_node
    >>> from netspec.ops import Relu
    >>> from netspec.types import TensorType
    >>> x = Input("x", TensorType.of(4))
    >>> a = make_node("stem.a", Relu(), [x])
    >>> b = make_node("b", Relu(), [a])
    >>> [member.name for member in split(Graph("g", (x,), (a, b), ("b",), scopes=(Scope("stem", "unit"),))).members]
    ['stem', 'b']
    """
    return _Splitter(graph).root()


class _Splitter:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._position = {node.name: index for index, node in enumerate(graph.nodes)}
        self._scopes = self._whole()
        self._last_read = dict.fromkeys(graph.values, -1)
        for index, node in enumerate(graph.nodes):
            self._last_read |= dict.fromkeys(node.inputs, index)
        self._last_read |= dict.fromkeys(graph.outputs, len(graph.nodes))

    def _whole(self) -> dict[str, Scope]:
        """The scopes whose nodes stand together; of stacks those that hold instances and nothing else."""
        found: dict[str, list[int]] = {}
        scopes = {scope.path: scope for scope in self._graph.scopes}
        around: dict[str, list[str]] = {}
        for index, node in enumerate(self._graph.nodes):
            around[node.name] = [path for path in ancestors(node.name) if path in scopes]
            for path in around[node.name]:
                found.setdefault(path, []).append(index)
        whole = {path for path, at in found.items() if at[-1] - at[0] + 1 == len(at)}
        loose = set()
        for paths in around.values():
            inside = [path for path in paths if path in whole]
            for path, within in zip(inside, [*inside, ""][1:], strict=True):
                if scopes[path].is_stack and (not within or "." in within[len(path) + 1 :]):
                    loose.add(path)
        return {path: scopes[path] for path in whole - loose}

    def root(self) -> Part:
        graph = self._graph
        members = self._members(None, 0, len(graph.nodes))
        return Part(None, "", members, tuple(value.name for value in graph.inputs), graph.outputs)

    def _members(self, around: Scope | None, start: int, stop: int) -> tuple[Node | Part, ...]:
        """The nodes from one position to another, those of each scope in one part."""
        members: list[Node | Part] = []
        prefix = len(around.path) + 1 if around else 0
        position = start
        while position < stop:
            node = self._graph.nodes[position]
            inner = next((self._scopes[p] for p in ancestors(node.name) if len(p) > prefix and p in self._scopes), None)
            if inner is None:
                members.append(node)
                position += 1
                continue
            end = position
            while end < stop and self._graph.nodes[end].name.startswith(f"{inner.path}."):
                end += 1
            within = self._members(inner, position, end)
            inputs, outputs = self._inputs(inner, position, end), self._outputs(inner, position, end)
            members.append(Part(inner, inner.path[prefix:], within, inputs, outputs))
            position = end
        return tuple(members)

    def _inputs(self, scope: Scope, start: int, stop: int) -> tuple[str, ...]:
        nodes = self._graph.nodes[start:stop]
        read = dict.fromkeys(name for node in nodes for name in node.inputs)
        outside = [name for name in read if not start <= self._position.get(name, -1) < stop]
        order = [value for _, value in scope.inputs]
        return tuple(sorted(outside, key=lambda name: order.index(name) if name in order else len(order)))

    def _outputs(self, scope: Scope, start: int, stop: int) -> tuple[str, ...]:
        nodes = self._graph.nodes[start:stop]
        stated = [value for _, value in scope.outputs if start <= self._position.get(value, -1) < stop]
        read = [node.name for node in nodes if self._last_read[node.name] >= stop]
        return tuple(dict.fromkeys((*stated, *read))) or (nodes[-1].name,)  # what nobody reads is still something


def name_of_input(part: Part, value: str) -> str:
    """What a block calls a value that it receives, or empty."""
    named = part.scope.inputs if part.scope else ()
    return next((name for name, given in named if given == value), "")


def name_of_output(part: Part, value: str) -> str:
    """What a block calls a value that an instance of it, or the last of a stack of them, gives; else the node's."""
    if part.is_stack and part.instances:
        return name_of_output(part.instances[-1], value)
    named = part.scope.outputs if part.scope else ()
    return next((name for name, given in named if given == value), value.rpartition(".")[2])
