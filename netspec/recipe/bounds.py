"""Bounded numbers, and validators that several parts of a recipe share."""

from typing import Annotated

from pydantic import Field

NonNegativeFloat = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, lt=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]


def require_one(**lengths: float | None) -> None:
    """Raise ValueError unless exactly one of the fields is given."""
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(f"`{name}`" for name in lengths)
        received = "both: null takes away one that is inherited" if given else "neither"
        raise ValueError(f"expected either {names}, received {received}")


def require_rising(name: str, bounds: tuple[float, float]) -> None:
    """Raise ValueError unless the pair is in ascending order."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"`{name}` is [least, greatest], received [{bounds[0]:g}, {bounds[1]:g}]")
