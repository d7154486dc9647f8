"""Files of `torch.save` as arrays by name: tensors and plain values are unpickled, and nothing else."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from netspec.errors import WeightsError
from netspec.lowering import ForeignWeights
from netspec.lowering.foreign import notes_of_part, part_of, printable, require_plausible, shown
from netspec.ops.base import Array

DEPTH: Final = 4  # of mappings in a checkpoint that are looked through
SAVE_TENSORS: Final = "where you trust it, save the tensors alone: torch.save(model.state_dict(), 'weights.pth')"
# What checkpoints hold beside tensors and is no more than values: the arguments of the program that trained, and
# numbers of NumPy, under the names that versions 1 and 2 give what makes them.
_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_VALUES: Final = [
    *(argparse.Namespace, _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar"), np.dtype),
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")),
]
_REFUSED = re.compile(r"GLOBAL (\S+)|function (\S+)|whose module (\S+) is blocked|must be (\S+) to load")


def read_state(path: Path, under: str = "") -> ForeignWeights:
    """The one state dict in a file, as NumPy arrays.

    Args:
        path: the file.
        under: where the state dict stands, `model.ema`, in a file that may hold several, or with what the names of
            those to read begin.

    Raises:
        WeightsError: the file is damaged, needs code to be read, holds no state dict, none there or several, or a
            tensor of it is not an array of real numbers.
    """
    content = _load(path)
    every = dict(_state_dicts(content))
    found = _chosen(every, under)
    if len(found) != 1:
        raise _not_one(path, content, found, under, list(every))
    (chosen,) = found
    require_plausible(path, sum(tensor.numel() * tensor.element_size() for tensor in chosen.state.values()))
    notes = notes_of_part(chosen.key, _beside(content, every, chosen)) if chosen.key else ()
    return ForeignWeights({name: _array(path, name, tensor) for name, tensor in chosen.state.items()}, tuple(notes))


def _load(path: Path) -> Any:
    """What the file holds, of tensors, containers and plain values."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                require_plausible(path, sum(info.file_size for info in archive.infolist()))
        # The warnings are of formats of old, which are no matter here.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_VALUES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # torch's readers fail on a damaged file in any way there is
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    text = str(error)
    if "TorchScript" in text:
        return WeightsError(f"{path}: a TorchScript archive, which is a program; expected tensors", SAVE_TENSORS)
    if "legacy .tar format" in text:
        return WeightsError(
            f"{path}: PyTorch's format before 0.1.10, which cannot be read without running code",
            "if you trust it, load it with torch.load, and torch.save it again",
        )
    if refused := _REFUSED.search(text):
        name = next(filter(None, refused.groups()))
        return WeightsError(
            f"{path}: it holds {name}, which is read by running code; only tensors and plain values are read",
            SAVE_TENSORS,
        )
    reason = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), type(error).__name__)
    if reason.startswith("Check the documentation") or isinstance(error, KeyError):  # of an opcode that is none
        reason = "its pickle is broken"
    reason = reason.partition(". ")[0][:200]
    return WeightsError(
        f"{path}: not a readable file of torch.save: {reason}", "it may be cut short, or of another format"
    )


Place = tuple[str, ...]  # keys of mappings, the outermost first; none of them: the whole
State = dict[str, Tensor]


class _Chosen(NamedTuple):
    """A state dict that may be meant, or what of it is: where it stands, and with what the names begin, if not all."""

    place: Place
    part: str
    state: State

    @property
    def key(self) -> str:
        """What `under` is of it alone."""
        return ".".join(filter(None, (*self.place, self.part)))


def _chosen(every: Mapping[Place, State], under: str) -> list[_Chosen]:
    """What a key may mean: the state dict that stands there, or of any what its names begin with."""
    whole = [_Chosen(place, "", state) for place, state in every.items()]
    if not under:
        return whole
    parts = [
        _Chosen(place, part, inner)
        for place, state in every.items()
        for part in dict.fromkeys((under, under.removeprefix(f"{'.'.join(place)}.")))
        if (inner := part_of(state, part))
    ]
    return [chosen for chosen in whole if chosen.key == under] or parts


def _beside(content: Mapping[Any, object], every: Mapping[Place, State], chosen: _Chosen) -> Iterator[str]:
    """What a file holds beside: under other keys, and by names that begin with something else."""
    if chosen.part:
        yield from (name for name in every[chosen.place] if not name.startswith(f"{chosen.part}."))
    if chosen.place:
        yield from (f"{key} ({type(v).__name__})" for key, v in content.items() if str(key) != chosen.place[0])


def _state_dicts(content: object, place: Place = ()) -> Iterator[tuple[Place, State]]:
    """Every mapping from names to tensors, and where it stands.

    What stands under a number is no model's: an optimizer keeps its state so, by the number of the weight.
    """
    if not isinstance(content, Mapping) or len(place) > DEPTH:
        return
    if content and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        yield place, dict(content)
        return
    for key, value in content.items():
        if isinstance(key, str):
            yield from _state_dicts(value, (*place, key))


def _not_one(path: Path, content: object, found: list[_Chosen], under: str, places: list[Place]) -> WeightsError:
    """That a file holds no weights, none under a key, or several."""
    if found:
        return WeightsError(
            f"{path}: it holds weights {len(found)} times, under {shown(c.key for c in found)}; expected one of them",
            f"say which: --under {printable(found[-1].key)}",
        )
    if places:
        listed = shown(".".join(place) or "no key: it is a state dict itself" for place in places)
        return WeightsError(f"{path}: there are no weights under {under!r} in it; they are under {listed}")
    if not isinstance(content, Mapping):
        return WeightsError(
            f"{path}: expected a state dict, tensors by name, received a {type(content).__name__}", SAVE_TENSORS
        )
    others = [
        f"{key if isinstance(key, str) else repr(key)} ({type(value).__name__})"
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    what = f"received {shown(others)}" if others else "it is empty"
    return WeightsError(f"{path}: expected a state dict, only tensors by name; {what}", SAVE_TENSORS)


def _array(path: Path, name: str, tensor: Tensor) -> Array:
    """The numbers; what NumPy has not, bfloat16 and narrower, as float32."""
    kind = "a sparse tensor" if tensor.layout != torch.strided else "quantized" if tensor.is_quantized else ""
    kind = kind or ("complex" if tensor.is_complex() else "on the meta device, without numbers" * tensor.is_meta)
    if kind:
        raise WeightsError(f"{path}: {name} is {kind}; expected an array of real numbers")
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    array: Array = tensor.contiguous().numpy()
    return array
