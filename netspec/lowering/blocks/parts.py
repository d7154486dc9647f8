"""The structure of emitted source as a tree of parts: the network, stacks, and instances of blocks.

The tree is derived from the scopes of the nodes. A scope whose nodes are no longer consecutive, because a pass moved
some of them, is no part: its nodes become members of the part around it, which computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from netspec.graph import Graph, Node, Scope
from netspec.graph.scopes import ancestors
from netspec.lowering.blocks.equal_parts import with_parts_together


@dataclass(frozen=True, eq=False)
class Part:
    """A run of consecutive nodes that emitted source keeps together, with nested parts.

    Attributes:
        scope: the scope of its nodes; None for the network itself.
        name: its name within the part around it.
        members: its nodes and nested parts, in order.
        inputs: the values that it is called with: those of the block's inputs, in their order, then others from outside
            that it reads. A value that several inputs of the block receive is repeated.
        outputs: the values that are read outside; first those that the block declares, in its order.
    """

    scope: Scope | None
    name: str
    members: tuple[Node | Part, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path of its scope; empty for the network itself."""
        return self.scope.path if self.scope else ""

    @property
    def block(self) -> str:
        """The block that it is an instance of; empty for a stack and for the network."""
        return self.scope.block if self.scope else ""

    @property
    def is_stack(self) -> bool:
        """Whether it is a stack of instances."""
        return self.scope is not None and self.scope.is_stack

    @cached_property
    def instances(self) -> tuple[Part, ...]:
        """The parts among its members."""
        return tuple(member for member in self.members if isinstance(member, Part))

    @property
    def is_numbered(self) -> bool:
        """Whether its instances are numbered from 0: a pass may have removed some of a stack."""
        return [part.name for part in self.instances] == [str(number) for number in range(len(self.instances))]

    @cached_property
    def is_linked(self) -> bool:
        """Whether it is a stack numbered from 0 in which only the next instance reads the outputs of each.

        An instance reads the outputs of the one before as its first inputs, followed by `constant_inputs`. Only outputs
        of the last instance are read outside of the stack.
        """
        parts = self.instances
        if not self.is_stack or not self.is_numbered:
            return False
        linked = all(b.inputs == (*a.outputs, *self.constant_inputs) for a, b in pairwise(parts))
        return linked and set(self.outputs) <= set(parts[-1].outputs)

    @cached_property
    def constant_inputs(self) -> tuple[str, ...]:
        """The inputs of a linked stack that every instance, except possibly the first, reads unchanged."""
        parts = self.instances
        return parts[1].inputs[len(parts[0].outputs) :] if len(parts) > 1 else ()

    @cached_property
    def positions(self) -> dict[int, int]:
        """The position of each member, by its identity."""
        return {id(member): position for position, member in enumerate(self.members)}

    @property
    def is_chain(self) -> bool:
        """Whether it is a linked stack whose instances map one value to one, as those of `nn.Sequential` do."""
        return self.is_linked and all(len(part.inputs) == len(part.outputs) == 1 for part in self.instances)

    @property
    def is_loop(self) -> bool:
        """Whether it is a linked stack whose instances return one value, and all read the same others, if any."""
        alike = len({part.inputs[1:] for part in self.instances}) == 1
        return alike and self.is_linked and all(len(part.outputs) == 1 for part in self.instances)

    def walk(self) -> Iterator[Part]:
        """All nested parts, innermost first, then the part itself."""
        for member in self.members:
            if isinstance(member, Part):
                yield from member.walk()
        yield self


def local_name(member: Node | Part, around: Part) -> str:
    """The name of a member within the part around it."""
    if isinstance(member, Part):
        return member.name
    return member.name[len(around.path) + 1 :] if around.path else member.name


def values_of(member: Node | Part) -> tuple[str, ...]:
    """The values of a member that can be read outside of it."""
    return member.outputs if isinstance(member, Part) else (member.name,)


def split(graph: Graph) -> Part:
    """Split a graph into the tree of its parts.

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
        self._ranges: dict[str, tuple[int, int]] = {}  # the first node of each scope, and the one after its last
        self._scopes = self._part_scopes()
        self._unread: dict[int, list[str]] = {}  # values that an instance beginning there receives, and does not read
        self._received = self._inputs_of_blocks()
        self._last_read = dict.fromkeys(graph.values, -1)  # the position of the last reader
        for index, node in enumerate(graph.nodes):
            self._last_read |= dict.fromkeys((*node.inputs, *self._unread.get(index, ())), index)
        self._last_read |= dict.fromkeys(graph.outputs, len(graph.nodes))

    def _part_scopes(self) -> dict[str, Scope]:
        """The scopes that become parts: their nodes are consecutive, and a stack contains nothing but its instances."""
        scopes = {scope.path: scope for scope in self._graph.scopes}
        positions: dict[str, list[int]] = {}
        enclosing: dict[str, list[str]] = {}
        for index, node in enumerate(self._graph.nodes):
            enclosing[node.name] = [path for path in ancestors(node.name) if path in scopes]
            for path in enclosing[node.name]:
                positions.setdefault(path, []).append(index)
        consecutive = {path for path, at in positions.items() if at[-1] - at[0] + 1 == len(at)}
        self._ranges = {path: (positions[path][0], positions[path][-1] + 1) for path in consecutive}
        mixed = set()  # stacks with a node that is not in a direct instance
        for paths in enclosing.values():
            nested = [path for path in paths if path in consecutive]
            for path, inner in zip(nested, [*nested, ""][1:], strict=True):
                if scopes[path].is_stack and (not inner or "." in inner[len(path) + 1 :]):
                    mixed.add(path)
        return {path: scopes[path] for path in consecutive - mixed}

    def _inputs_of_blocks(self) -> dict[str, set[str]]:
        """The inputs of each block that all its instances receive, so that they can share a class.

        They are those that any instance reads, or has to pass on to an instance within it.
        """
        while True:
            received = self._read_inputs()
            unread: dict[int, list[str]] = {}
            for scope in self._scopes.values():
                start, stop = self._ranges[scope.path]
                read = {name for node in self._graph.nodes[start:stop] for name in node.inputs}
                if passed := [v for v in self._declared_inputs(scope, received) if v not in read]:
                    unread.setdefault(start, []).extend(passed)
            if unread == self._unread:
                return received
            self._unread = unread

    def _read_inputs(self) -> dict[str, set[str]]:
        """The inputs of each block that an instance reads; of inputs with one value in all instances, the first."""
        received: dict[str, set[str]] = {}
        alike: list[tuple[str, list[str]]] = []  # inputs of an instance that have the same value
        for scope in self._scopes.values():
            names: dict[str, list[str]] = {}
            for name, value in scope.inputs:
                names.setdefault(value, []).append(name)
            read = received.setdefault(scope.block, set())
            for value in self._read_from_outside(*self._ranges[scope.path]):
                if len(names.get(value, ())) == 1:
                    read.update(names[value])
                elif value in names:
                    alike.append((scope.block, names[value]))
        for block, several in alike:
            if received[block].isdisjoint(several):
                received[block].add(several[0])
        return received

    def _declared_inputs(self, scope: Scope, received: Mapping[str, set[str]]) -> list[str]:
        """The values that an instance receives as inputs of its block; a pass may have removed some from the graph."""
        known, start = received.get(scope.block, ()), self._ranges[scope.path][0]
        stated = [value for name, value in scope.inputs if name in known and value in self._graph.values]
        return [value for value in stated if self._position.get(value, -1) < start]

    def _read_from_outside(self, start: int, stop: int) -> list[str]:
        """The values that nodes from one position to another read, and do not compute, in the order of reading."""
        nodes = enumerate(self._graph.nodes[start:stop], start)
        read = dict.fromkeys(name for at, node in nodes for name in (*self._unread.get(at, ()), *node.inputs))
        return [name for name in read if not start <= self._position.get(name, -1) < stop]

    def root(self) -> Part:
        graph = self._graph
        members = self._members(None, 0, len(graph.nodes))
        return Part(None, "", members, tuple(value.name for value in graph.inputs), graph.outputs)

    def _members(self, around: Scope | None, start: int, stop: int) -> tuple[Node | Part, ...]:
        """The members of a scope from one position to another, with the nodes of each nested scope in a part."""
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
        return tuple(with_parts_together(members))

    def _inputs(self, scope: Scope, start: int, stop: int) -> tuple[str, ...]:
        declared = self._declared_inputs(scope, self._received)
        others = [value for value in self._read_from_outside(start, stop) if value not in declared]
        return (*declared, *others)

    def _outputs(self, scope: Scope, start: int, stop: int) -> tuple[str, ...]:
        nodes = self._graph.nodes[start:stop]
        stated = [value for _, value in scope.outputs if start <= self._position.get(value, -1) < stop]
        read = [node.name for node in nodes if self._last_read[node.name] >= stop]
        return tuple(dict.fromkeys((*stated, *read))) or (nodes[-1].name,)  # at least one, even if nothing reads it


def blocks_of(root: Part) -> dict[str, list[Part]]:
    """The instances of each block in a network, in topological order: nested blocks come first."""
    instances: dict[str, list[Part]] = {}
    for part in root.walk():
        if part.block:
            instances.setdefault(part.block, []).append(part)
    nested = {
        block: {inner.block for part in parts for inner in part.walk() if inner.block} - {block}
        for block, parts in instances.items()
    }
    ordered: dict[str, list[Part]] = {}
    visited: set[str] = set()

    def visit(block: str) -> None:
        if block in visited:
            return
        visited.add(block)
        for inner in instances:
            if inner in nested[block]:
                visit(inner)
        ordered[block] = instances[block]

    for block in instances:
        visit(block)
    return ordered


def name_of_input(part: Part, position: int) -> str:
    """The block's name for one of the inputs of a part; empty if there is none."""
    value = part.inputs[position]
    names = [name for name, received in (part.scope.inputs if part.scope else ()) if received == value]
    before = part.inputs[:position].count(value)
    return names[before] if before < len(names) else ""


def name_of_output(part: Part, value: str) -> str:
    """The block's name for a value that an instance, or the last instance of a stack, returns; else the node's name."""
    if part.is_stack and part.instances:
        return name_of_output(part.instances[-1], value)
    outputs = part.scope.outputs if part.scope else ()
    return next((name for name, returned in outputs if returned == value), value.rpartition(".")[2])
