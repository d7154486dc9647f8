"""The catalog of shipped mappings, and lookup of a model in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, get_args

from netspec.errors import NetspecError
from netspec.files import shipped_specs
from netspec.ops.base import Array
from netspec.spec.text.hints import did_you_mean
from netspec.transfer.mapping import OriginName, WeightMapping, read_mapping
from netspec.transfer.transfer import transfer

LIST: Final = "`netspec weights list` prints all; --mapping takes a mapping of your own"


def shipped_mappings() -> list[WeightMapping]:
    """Every mapping that comes with netspec, by origin and family."""
    origins = get_args(OriginName)
    folder = shipped_specs() / "weights"
    return [read_mapping(path) for origin in origins for path in sorted((folder / origin).glob("*.yaml"))]


def model_names(mappings: Sequence[WeightMapping]) -> list[str]:
    """The name of every model, `ORIGIN:MODEL`."""
    return [f"{mapping.origin}:{model}" for mapping in mappings for model in mapping.models]


def find_model(name: str, mappings: Sequence[WeightMapping]) -> tuple[WeightMapping, str]:
    """Find the mapping of a model; return it with the model's name.

    Args:
        name: `ORIGIN:MODEL`, or `MODEL` if all mappings have the same origin.
        mappings: the mappings to search.

    Raises:
        NetspecError: there is no such origin or model; the hint suggests the nearest name.
    """
    origins = list(dict.fromkeys(mapping.origin for mapping in mappings))
    origin, _, model = name.rpartition(":")
    if not origin and len(origins) == 1:
        origin = origins[0]
    for mapping in mappings:
        if mapping.origin == origin and model in mapping.models:
            return mapping, model
    raise NetspecError(
        f"there is no model {name!r} to import weights of", " ".join(filter(None, _hints(origin, model, mappings)))
    )


def _hints(origin: str, model: str, mappings: Sequence[WeightMapping]) -> Iterator[str]:
    """A suggestion of the nearest names, then where all names are listed."""
    known = model_names(mappings)
    of_origin = [name for name in known if name.startswith(f"{origin}:")]
    namesakes = [name for name in known if name.lower().endswith(f":{model}".lower())]
    namesakes = [name for name in namesakes if name in of_origin] or namesakes
    if namesakes:
        yield f"did you mean {' or '.join(namesakes)}?"
    else:
        models = (name.partition(":")[2] for name in known)
        yield did_you_mean(f"{origin}:{model}", of_origin) or did_you_mean(model, models)
    yield LIST


def models_of(mapping: WeightMapping, arrays: Mapping[str, Array], overrides: Sequence[str] = ()) -> list[str]:
    """The models of a mapping to which the arrays can be transferred."""
    fitting = []
    for model in mapping.models:
        with suppress(NetspecError):
            transfer(mapping, model, arrays, overrides)
            fitting.append(model)
    return fitting
