"""What the spec of a block states about numbers: the expressions that give their values in every instance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Final

from netspec.lowering.blocks.kinds import may_name
from netspec.lowering.blocks.known import Known, Vector, agree, multiple_of, names_of
from netspec.lowering.blocks.places import Place
from netspec.lowering.python.source import Binary, Expression, Literal, Name

OUTPUT_CHANNELS: Final = ("out_channels", "out_features", "filters", "units")


class Stated:
    """Finds expressions of the spec by the values that they have in the instances of a block.

    Args:
        known: the arguments, channels and expressions of the block.
    """

    def __init__(self, known: Known) -> None:
        self._known = known

    def halves(self, values: Vector, place: Place) -> Iterator[Expression]:
        """Half of the member's kernel, for a padding that keeps the size of the map."""
        for kinds, kernel in self._known.expressions.get(place.member, ()) if "padding" in place.kinds else ():
            vector = self._known.vector(kernel)
            is_size = "kernel" in kinds and bool(names_of(kernel)) and all(type(size) is int for size in vector)
            if is_size and agree(values, tuple(size // 2 for size in vector)):
                yield Binary("//", kernel, Literal(2))

    def multiples(self, values: Vector, place: Place) -> Iterator[Expression | None]:
        """Multiples of the spec's channels, such as those of two concatenated layers."""
        if "channels" in place.kinds:
            for expression in self._channel_expressions():
                yield multiple_of(values, expression, self._known.vector(expression))

    def shares(self, values: Vector, place: Place) -> Iterator[Expression | None]:
        """The height or width of an input divided by a size that the member states, for the window of a pool."""
        stated = [each for kinds, each in self._known.expressions.get(place.member, ()) if "size" in kinds]
        for name in filter(None, self._known.sizes if "kernel" in place.kinds else ()):
            sizes = self._known.vectors[name]
            for count in stated:
                counts = self._known.vector(count)
                if all(type(each) is int and each > 0 for each in counts):
                    shares = tuple(size // each for size, each in zip(sizes, counts, strict=True))
                    if agree(values, shares):
                        yield Binary("//", Name(name), count)
            yield multiple_of(values, Name(name), sizes) if not stated else None

    def of_member(self, values: Vector, place: Place) -> Expression | None:
        """The spec's expression for an attribute of the member, of the same kind and with these values."""
        for kinds, expression in self._known.expressions.get(place.member, ()):
            if may_name(kinds, place.kinds) and "when" not in kinds and agree(values, self._known.vector(expression)):
                return expression
        return None

    def of_input_channels(self, values: Vector, place: Place) -> Expression | None:
        """The name of the channels of the block's input that the member reads, if it has these values."""
        name = self._known.source_names.get(place.input_channels, "")
        fits = name in self._known.vectors and "channels" in place.kinds and place.role not in OUTPUT_CHANNELS
        return Name(name) if fits and agree(values, self._known.vectors[name]) else None

    def of_first_channels(self, values: Vector, place: Place) -> Expression | None:
        """The name of the channels of the block's first input, else the spec's channels of another member."""
        first = self._known.input_channels
        if first and "channels" in place.kinds and agree(values, self._known.vectors[first]):
            return Name(first)
        return self.of_other_members(values, place)

    def of_other_members(self, values: Vector, place: Place) -> Expression | None:
        """The spec's channels of another member, for a layer has the channels of the one before."""
        candidates = self._channel_expressions() if "channels" in place.kinds else ()
        return next((each for each in candidates if agree(values, self._known.vector(each))), None)

    def _channel_expressions(self) -> Iterator[Expression]:
        """The spec's expressions for channels of any member."""
        for attributes in self._known.expressions.values():
            yield from (each for kinds, each in attributes if "channels" in kinds and names_of(each))

    def padded(self, member: str, values: Vector) -> Expression | None:
        """The condition that the spec's expression for the padding of a member, or one for a side, is above 0."""
        sides = dict.fromkeys(each for kinds, each in self._known.expressions.get(member, ()) if "padding" in kinds)
        padded = {side: tuple(map(bool, self._known.vector(side))) for side in sides}
        single = next((side for side in sides if padded[side] == values), None)
        if single is None and tuple(map(any, zip(*padded.values(), strict=True))) != values:
            return None
        tests = [Binary(">", side, Literal(0)) for side in (sides if single is None else [single])]
        return reduce(lambda left, right: Binary("or", left, right), tests)
