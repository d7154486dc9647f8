"""Expands blocks: reads each instance with its arguments and the shapes that arrive, and elaborates its layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netspec.graph import Formula, Input, Node, Scope
from netspec.spec.check_blocks import contains_itself
from netspec.spec.expressions.expression import Unknown, Value
from netspec.spec.layers.blocks import BlockSpec, formulas_of
from netspec.spec.layers.connect import Connected, connect
from netspec.spec.layers.environment import Environment, names_with_shapes
from netspec.spec.layers.layers import read_layers
from netspec.spec.layers.uses import MAX_LAYERS, Arguments
from netspec.spec.model import ModelSpec, UseSpec
from netspec.spec.parameters.values import Substitution, names_seen, value_of
from netspec.spec.text.document import Problems, quote
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.spec.elaborate import Elaboration

MAX_NESTING: Final = 16  # instances within one another
Values = Mapping[str, Input | Node]


class Expansion:
    """Expands the blocks that the layers of a spec, and those of its blocks, use.

    Args:
        spec: gives the blocks, the parameters, and the defaults of ops.
        elaboration: makes the nodes of layers.
        problems: collects the problems, with the use of the block that each arises in.

    Attributes:
        scopes: the scope of each instance and of each stack, outer ones first.
    """

    def __init__(self, spec: ModelSpec, elaboration: Elaboration, problems: Problems) -> None:
        self._spec = spec
        self._elaboration = elaboration
        self._problems = problems
        self._active: list[str] = []  # the blocks that are being expanded, each within the one before
        self._taken: list[dict[str, Collection[str]]] = []  # for each, its parameters and the names in their defaults
        self._count = 0  # layers and instances so far
        self._formulas: dict[str, tuple[Formula, ...]] = {}
        self.scopes: list[Scope] = []

    @property
    def parameters(self) -> Mapping[str, Collection[str]]:
        """The parameters that expressions see now, those of the spec and of the instance that is being expanded.

        With each, the names in the default that it has here; none for an argument, and for those of the spec.
        """
        return {**dict.fromkeys(self._spec.parameters, ()), **(self._taken[-1] if self._taken else {})}

    def use(self, layer: UseSpec, arriving: Sequence[Input | Node], path: str) -> dict[str, Input | Node]:
        """The outputs of a layer that uses a block, by the names that readers use; empty after a problem."""
        block = self._spec.blocks[layer.block]
        if not block.valid or not self._can_expand(layer, block, arriving):
            return {}
        if layer.stacked:
            self.scopes.append(Scope(path))
        outputs: list[Input | Node] = []
        before = self._count
        for index, arguments in enumerate(layer.instances):
            # In a stack, the outputs of an instance replace the first inputs of the next; other inputs stay.
            inputs = [*outputs[: len(arriving)], *arriving[len(outputs) :]]
            instance_path = f"{path}.{index}" if layer.stacked else path
            with self._problems.within(instance_path, layer.at):
                values = self._expand(block, arguments, inputs, instance_path)
            if values is None:
                return {}
            if index == 0:
                self._check_growth((self._count - before) * (len(layer.instances) - 1), layer, path)
            outputs = values
        names = [f"{layer.name}.{name}" for name in block.outputs] if len(block.outputs) > 1 else [layer.name]
        return dict(zip(names, outputs, strict=True))

    def _can_expand(self, layer: UseSpec, block: BlockSpec, arriving: Sequence[Input | Node]) -> bool:
        if block.name in self._active:
            names = [*self._active[self._active.index(block.name) :], block.name]
            self._problems.add(layer.at, *contains_itself(names))
            return False
        if len(self._active) >= MAX_NESTING:
            self._problems.add(layer.at, f"blocks are nested more than {MAX_NESTING} levels deep")
            return False
        if len(arriving) != len(block.inputs):
            expected = f"{counted(len(block.inputs), 'input')}: {', '.join(block.inputs)}"
            message = f"the block {quote(block.name)} takes {expected}; received {len(arriving)}"
            self._problems.add(layer.at, message, "list the layers that it reads: `inputs: [a, b]`")
            return False
        return True

    def _check_growth(self, more: int, layer: UseSpec, path: str) -> None:
        """Fail if `more` layers would exceed the limit, before they are made."""
        if self._count + more > MAX_LAYERS:
            message = f"with {quote(path)} the network has {self._count + more:,} layers"
            self._problems.fail(layer.at, message, f"at most {MAX_LAYERS:,} are taken")

    def _expand(
        self, block: BlockSpec, arguments: Arguments, arriving: Sequence[Input | Node], path: str
    ) -> list[Input | Node] | None:
        """The outputs of one instance; None after a problem."""
        received = dict(zip(block.inputs, arriving, strict=True))
        names = self._names(block, arguments, received)
        if names is None:
            return None
        parameters = ((name, names[name]) for name in block.parameters)
        scalars = tuple((name, value) for name, value in parameters if not isinstance(value, tuple | dict))
        inputs = tuple((name, value.name) for name, value in received.items())
        index = len(self.scopes)
        self.scopes.append(Scope(path, block.name, scalars, inputs, formulas=self._formulas_of(block), names=names))
        self._active.append(block.name)
        self._taken.append(
            {
                name: names_seen(of.default) if of.default is not None and name not in arguments else ()
                for name, of in block.parameters.items()
            }
        )
        environment = Environment(names, self._spec.defaults, self._spec.blocks, block.inputs)
        assert block.layers is not None  # noqa: S101 # a valid block has layers
        drafts = read_layers(block.layers, environment, self._problems)
        self._count += len(drafts) + 1
        connected = connect(drafts, block.inputs, block.node.get("outputs"), self._problems, in_block=True)
        values = self._elaboration.make(connected.layers, received, f"{path}.")
        self._active.pop()
        self._taken.pop()
        outputs = _outputs(block, connected, values)
        if outputs is not None:
            named = tuple((name, value.name) for name, value in zip(block.outputs, outputs, strict=True))
            self.scopes[index] = replace(self.scopes[index], outputs=named)
        return outputs

    def _formulas_of(self, block: BlockSpec) -> tuple[Formula, ...]:
        if block.name not in self._formulas:
            self._formulas[block.name] = tuple(formulas_of(block))
        return self._formulas[block.name]

    def _names(
        self, block: BlockSpec, arguments: Arguments, received: Mapping[str, Input | Node]
    ) -> dict[str, Value] | None:
        """What the expressions of an instance see; None after a problem.

        The block's parameters hide those of the spec, and both hide shapes of the same name. The default of a
        parameter sees the parameters above it.
        """
        outer = names_with_shapes(self._spec.parameters, {name: value.type for name, value in received.items()})
        values: dict[str, Value] = {}
        for name, declaration in block.parameters.items():
            if name in arguments:
                values[name] = arguments[name]
                continue
            assert declaration.default is not None  # noqa: S101 # a use gives all required parameters
            later = set(block.parameters) - set(values)
            visible = {key: value for key, value in outer.items() if key not in later} | values
            node = Substitution(visible, self._problems, later).apply(declaration.default)
            value = value_of(node, declaration, self._problems)
            if isinstance(value, Unknown):
                return None
            values[name] = value
        return outer | values


def _outputs(block: BlockSpec, connected: Connected, values: Values) -> list[Input | Node] | None:
    """The values of a block's outputs; None if one of them could not be made."""
    if len(connected.outputs) < len(block.outputs) or any(name not in values for name in connected.outputs):
        return None
    return [values[name] for name in connected.outputs]
