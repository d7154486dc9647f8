"""The mappings that come with netspec, and a model found in them by its name."""

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
    """`ORIGIN:MODEL` of every model."""
    return [f"{mapping.origin}:{model}" for mapping in mappings for model in mapping.models]


def find_model(name: str, mappings: Sequence[WeightMapping]) -> tuple[WeightMapping, str]:
    """The mapping that has `ORIGIN:MODEL`, and the model.

    Args:
        name: the origin may be left out where all mappings are of one.
        mappings: where to look.

    Raises:
        NetspecError: there is no such origin or model, with the nearest name.
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
    """What was probably meant, then where all names are."""
    known = model_names(mappings)
    namesakes = [name for name in known if name.lower().endswith(f":{model}".lower())]
    own = [name for name in known if name.startswith(f"{origin}:")]
    namesakes = [name for name in namesakes if name in own] or namesakes  # of another case
    if namesakes:
        yield f"did you mean {' or '.join(namesakes)}?"
    else:
        yield did_you_mean(f"{origin}:{model}", own) or did_you_mean(model, (n.partition(":")[2] for n in known))
    yield LIST


def models_of(mapping: WeightMapping, arrays: Mapping[str, Array], overrides: Sequence[str] = ()) -> list[str]:
    """The mapping's models whose weights the arrays can be."""
    found = []
    for model in mapping.models:
        with suppress(NetspecError):
            transfer(mapping, model, arrays, overrides)
            found.append(model)
    return found
