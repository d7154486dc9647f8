"""A network of the zoo and its figures: what `zoo.py` and `efficient.py` list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """A network of the zoo, and what it must count.

    Attributes:
        spec: the file's stem in `specs/`.
        settings: parameters, as `--set` gives them.
        trained: weights that are trained.
        not_trained: running statistics: two for each normalized channel.
        macs: multiply-accumulates a sample, of convolutions, dense layers and matrix products.
        outputs: the features of each output.
        source: of `trained`; and of `macs`, in the digits that it gives.
    """

    spec: str
    settings: Settings
    trained: int
    not_trained: int
    macs: int
    outputs: tuple[tuple[int, ...], ...]
    source: str

    def __str__(self) -> str:
        return "-".join((self.spec, *(f"{name}={value}" for name, value in self.settings.items())))


IMAGENET = ((1000,),)
