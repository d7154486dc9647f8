"""The base of the builders of blocks: from the tree of parts to the classes or functions of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from netspec.graph import Node
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.indexed import calls_by_index
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.lists import Groups, Rows, fewest, rows_of
from netspec.lowering.blocks.parts import Part, blocks_of
from netspec.lowering.blocks.stacks import Repetition, repetitions_of
from netspec.lowering.blocks.template import Draft, Signature, Template, Unit, signature_of
from netspec.lowering.blocks.variants import variant_names
from netspec.lowering.python.source import Call, Expression

DraftT = TypeVar("DraftT", bound=PartDraft)
DefinitionT = TypeVar("DefinitionT")


class BlockDefinitions(ABC, Generic[DraftT, DefinitionT]):
    """Builds the classes or functions of a network's blocks.

    Nested blocks come first, so that an instance of one is a call by the time that the block around it is drafted. The
    drafts of a block's instances are grouped, each group gets a template, and a backend writes that as a definition.

    Args:
        drafts: the statements of each part, by path.
        taken: names that no definition may have.
        signatures: the signatures of the functions and classes that lowerings call, by name.
    """

    absent: ClassVar[Expression | None] = None  # an identity layer, used in place of a layer that an instance lacks

    def __init__(
        self, drafts: Mapping[str, DraftT], taken: Collection[str], signatures: Mapping[str, Signature]
    ) -> None:
        self._drafts = drafts
        self._taken = [*taken]
        self._signatures = dict(signatures)
        self._instances: dict[str, Call] = {}  # the call that makes each instance, by path
        self._repetitions: dict[str, Repetition] = {}  # of stacks that differ in length, by path
        self._rows: Rows = {}  # of stacks whose elements differ one by one, by path
        self._indexed: dict[str, Call | None] = {}  # of stacks whose elements are made by their index, by path

    def define(self, root: Part) -> list[DefinitionT]:
        """The definitions of all blocks, each after those that it uses."""
        definitions = []
        for block, parts in blocks_of(root).items():
            self._repetitions |= repetitions_of(parts, self._instance)
            groups, self._rows = self._groups(parts)
            variants = [[parts[index] for index in members] for members, _ in groups]
            for wanted, instances, (_, template) in zip(variant_names(block, variants), variants, groups, strict=True):
                definitions.append(self._define(wanted, instances, template))
        return definitions

    @abstractmethod
    def _define(self, wanted: str, parts: Sequence[Part], template: Template) -> DefinitionT:
        """The definition of these instances, named `wanted` or the like; registers its signature and their calls."""

    @abstractmethod
    def _units(self, draft: DraftT, member: Node | Part) -> Iterable[Unit]:
        """The units of a member of a part."""

    @abstractmethod
    def _given(self, draft: DraftT) -> Given:
        """The arguments of an instance."""

    def _instance(self, part: Part) -> Call:
        """The call that makes an instance; equal for equal elements of a stack."""
        return self._instances[part.path]

    def _draft(self, part: Part) -> Draft:
        """The source of one instance, or of the network."""
        draft = self._drafts[part.path]
        units = tuple(unit for member in part.members for unit in self._units(draft, member))
        return Draft(units, tuple(draft.variables[output] for output in part.outputs), self._given(draft), draft.inputs)

    def _groups(self, parts: Sequence[Part]) -> tuple[Groups, Rows]:
        """The groups of instances that share a definition, and what gives the elements of their stacks."""
        generalizer = Generalizer(self._signature, self._taken, self.absent)

        def group(rows: Rows) -> Groups:
            self._rows = rows
            return generalizer.group([self._draft(part) for part in parts])

        given = [self._given(self._drafts[part.path]) for part in parts]
        return fewest(group, rows_of(parts, given, self._instance, self._signature))

    def _by_index(self, stack: Part, repetition: Repetition) -> Call | None:
        """The call that makes an element of a stack by its index; None if they call different functions."""
        if stack.path not in self._indexed:
            function = self._instance(repetition.element).function
            defaults = signature_of(function, self._signature).optional or {}
            self._indexed |= calls_by_index(repetition.stacks, self._instance, defaults)
        return self._indexed[stack.path]

    def _signature(self, function: str) -> Signature:
        return self._signatures.get(function, Signature())


def describe_instances(parts: Sequence[Part]) -> str:
    """The docstring of a block's class or function: its name, and the paths of its instances."""
    where = parts[0].path if len(parts) == 1 else f"{len(parts)} times, {parts[0].path} to {parts[-1].path}"
    return f"The block `{parts[0].block}`: {where}."
