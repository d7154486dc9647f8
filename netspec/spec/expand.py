"""Instances of blocks: each read with the values and the shapes that it is given, and made of nodes by its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netspec.graph import Formula, Input, Node, Scope
from netspec.spec.check_blocks import contains_itself
from netspec.spec.expressions.expression import Unknown, Value
from netspec.spec.layers.blocks import BlockSpec, formulas_of
from netspec.spec.layers.connect import Connected, connect
from netspec.spec.layers.layers import read_layers
from netspec.spec.layers.surroundings import Surroundings, seen
from netspec.spec.layers.uses import MAX_LAYERS, Arguments
from netspec.spec.model import ModelSpec, UseSpec
from netspec.spec.parameters.values import Substitution, value_of
from netspec.spec.text.document import Problems, quote
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.spec.elaborate import Elaboration

MAX_NESTING: Final = 16
Values = Mapping[str, Input | Node]


class Expansion:
    """Makes the instances that the layers of a spec, and of its blocks, use.

    Args:
        spec: the blocks, what they are given without being asked, and the defaults of ops.
        elaboration: makes nodes of layers that are read.
        problems: where those are recorded; each says which use led to it.
    """

    def __init__(self, spec: ModelSpec, elaboration: Elaboration, problems: Problems) -> None:
        self._spec = spec
        self._elaboration = elaboration
        self._problems = problems
        self._active: list[str] = []  # the blocks that are being made, each within the one before
        self._made = 0  # layers and instances so far
        self._formulas: dict[str, tuple[Formula, ...]] = {}
        self.scopes: list[Scope] = []

    @property
    def parameters(self) -> set[str]:
        """Those that the expressions of a layer see: the spec's, and of the block that is being made its own."""
        own = self._spec.blocks[self._active[-1]].parameters if self._active else ()
        return {*self._spec.parameters, *own}

    def use(self, layer: UseSpec, arriving: Sequence[Input | Node], path: str) -> dict[str, Input | Node]:
        """The outputs of a use by the names that its readers have for them; those that could not be made are absent."""
        block = self._spec.blocks[layer.block]
        if not block.whole or not self._may_be_made(layer, block, arriving):
            return {}
        if layer.stacked:
            self.scopes.append(Scope(path))
        outputs: list[Input | Node] = []
        before = self._made
        for index, arguments in enumerate(layer.instances):
            receives = [*outputs[: len(arriving)], *arriving[len(outputs) :]]
            own = f"{path}.{index}" if layer.stacked else path
            with self._problems.within(own, layer.at):
                made = self._instance(block, arguments, receives, own)
            if made is None:
                return {}
            if index == 0:
                self._admit((self._made - before) * (len(layer.instances) - 1), layer, path)
            outputs = made
        names = [f"{layer.name}.{name}" for name in block.outputs] if len(block.outputs) > 1 else [layer.name]
        return dict(zip(names, outputs, strict=True))

    def _may_be_made(self, layer: UseSpec, block: BlockSpec, arriving: Sequence[Input | Node]) -> bool:
        if block.name in self._active:
            names = [*self._active[self._active.index(block.name) :], block.name]
            self._problems.add(layer.at, *contains_itself(names))
            return False
        if len(self._active) >= MAX_NESTING:
            self._problems.add(layer.at, f"more than {MAX_NESTING} blocks stand within one another")
            return False
        if len(arriving) != len(block.inputs):
            expected = f"{counted(len(block.inputs), 'input')}: {', '.join(block.inputs)}"
            message = f"the block {quote(block.name)} takes {expected}; received {len(arriving)}"
            self._problems.add(layer.at, message, "list the layers that it reads: `inputs: [a, b]`")
            return False
        return True

    def _admit(self, more: int, layer: UseSpec, path: str) -> None:
        """Refuse what would grow beyond any network before it is made."""
        if self._made + more > MAX_LAYERS:
            message = f"with {quote(path)} the network has {self._made + more:,} layers"
            self._problems.fail(layer.at, message, f"at most {MAX_LAYERS:,} are taken")

    def _instance(
        self, block: BlockSpec, arguments: Arguments, arriving: Sequence[Input | Node], path: str
    ) -> list[Input | Node] | None:
        """The outputs of one instance; None after a problem is recorded."""
        received = dict(zip(block.inputs, arriving, strict=True))
        names = self._names(block, arguments, received)
        if names is None:
            return None
        plain = tuple((name, names[name]) for name in block.parameters)
        given = tuple((name, value) for name, value in plain if not isinstance(value, tuple | dict))
        inputs = tuple((name, value.name) for name, value in received.items())
        place = len(self.scopes)
        self.scopes.append(Scope(path, block.name, given, inputs, formulas=self._formulas_of(block), seen=names))
        self._active.append(block.name)
        around = Surroundings(names, self._spec.defaults, self._spec.blocks, block.inputs)
        assert block.layers is not None  # noqa: S101 # a whole block has them
        drafts = read_layers(block.layers, around, self._problems)
        self._made += len(drafts) + 1
        connected = connect(drafts, block.inputs, block.node.get("outputs"), self._problems, in_block=True)
        values = self._elaboration.make(connected, received, f"{path}.")
        self._active.pop()
        outputs = _outputs(block, connected, values)
        if outputs is not None:
            called = tuple((name, value.name) for name, value in zip(block.outputs, outputs, strict=True))
            self.scopes[place] = replace(self.scopes[place], outputs=called)
        return outputs

    def _formulas_of(self, block: BlockSpec) -> tuple[Formula, ...]:
        if block.name not in self._formulas:
            self._formulas[block.name] = tuple(formulas_of(block))
        return self._formulas[block.name]

    def _names(
        self, block: BlockSpec, arguments: Arguments, received: Mapping[str, Input | Node]
    ) -> dict[str, Value] | None:
        """What the expressions of an instance see: a name of its own, then one of the spec, then the shape's."""
        names = seen(self._spec.parameters, {name: value.type for name, value in received.items()})
        own: dict[str, Value] = {}
        for name, declaration in block.parameters.items():
            if name in arguments:
                own[name] = arguments[name]
                continue
            assert declaration.default is not None  # noqa: S101 # a use gives what has none
            later = set(block.parameters) - set(own)
            visible = {key: value for key, value in names.items() if key not in later} | own
            node = Substitution(visible, self._problems, later).apply(declaration.default)
            value = value_of(node, declaration, self._problems)
            if isinstance(value, Unknown):
                return None
            own[name] = value
        return names | own


def _outputs(block: BlockSpec, connected: Connected, values: Values) -> list[Input | Node] | None:
    if len(connected.outputs) < len(block.outputs) or any(name not in values for name in connected.outputs):
        return None
    return [values[name] for name in connected.outputs]
