"""Reading files of `torch.save` as NumPy arrays by name, unpickling only tensors, containers and plain values."""

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

DEPTH: Final = 4  # the depth of nested mappings to which a checkpoint is searched
SAVE_TENSORS: Final = "if you trust it, save only the tensors: torch.save(model.state_dict(), 'weights.pth')"
# Harmless values that checkpoints contain beside tensors: the training program's arguments, and NumPy scalars, whose
# constructor has different names in NumPy 1 and 2.
_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_VALUES: Final = [
    *(argparse.Namespace, _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar"), np.dtype),
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")),
]
_REFUSED = re.compile(r"GLOBAL (\S+)|function (\S+)|whose module (\S+) is blocked|must be (\S+) to load")


def read_state(path: Path, under: str = "") -> ForeignWeights:
    """Read the state dict in a file as NumPy arrays.

    Args:
        path: the file.
        under: the key of the state dict, such as `model.ema`, in a file with several, or a prefix of the names to read.

    Raises:
        WeightsError: the file is damaged, can only be read by running code, contains no state dict, none under the key
            or several, or a tensor is not an array of real numbers.
    """
    content = _load(path)
    state_dicts = dict(_state_dicts(content))
    selections = _select(state_dicts, under)
    if len(selections) != 1:
        raise _not_one(path, content, selections, under, list(state_dicts))
    (selected,) = selections
    require_plausible(path, sum(tensor.numel() * tensor.element_size() for tensor in selected.state.values()))
    notes = notes_of_part(selected.key, _unselected(content, state_dicts, selected)) if selected.key else ()
    return ForeignWeights({name: _array(path, name, tensor) for name, tensor in selected.state.items()}, tuple(notes))


def _load(path: Path) -> Any:
    """Load the tensors, containers and plain values of a file."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                require_plausible(path, sum(info.file_size for info in archive.infolist()))
        # The warnings are about old formats.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_VALUES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # torch raises many different errors on damaged files
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    """The error to raise for an error of `torch.load`."""
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
    if reason.startswith("Check the documentation") or isinstance(error, KeyError):  # an unknown opcode
        reason = "its pickle is broken"
    reason = reason.partition(". ")[0][:200]
    return WeightsError(
        f"{path}: not a readable file of torch.save: {reason}", "it may be cut short, or of another format"
    )


Keys = tuple[str, ...]  # the path of a state dict in nested mappings, outermost key first; empty for the file itself
State = dict[str, Tensor]


class _Selection(NamedTuple):
    """A state dict of the file, or the part of it whose names begin with a prefix."""

    keys: Keys
    prefix: str
    state: State

    @property
    def key(self) -> str:
        """The value of `under` that selects only this."""
        return ".".join(filter(None, (*self.keys, self.prefix)))


def _select(state_dicts: Mapping[Keys, State], under: str) -> list[_Selection]:
    """The selections that a key can mean: the state dict at that key, or else the parts with that prefix of any."""
    whole = [_Selection(keys, "", state) for keys, state in state_dicts.items()]
    if not under:
        return whole
    parts = [
        _Selection(keys, prefix, part)
        for keys, state in state_dicts.items()
        for prefix in dict.fromkeys((under, under.removeprefix(f"{'.'.join(keys)}.")))
        if (part := part_of(state, prefix))
    ]
    return [selection for selection in whole if selection.key == under] or parts


def _unselected(
    content: Mapping[Any, object], state_dicts: Mapping[Keys, State], selected: _Selection
) -> Iterator[str]:
    """The names in the file that are not read: those without the prefix, and those of other keys."""
    if selected.prefix:
        yield from (name for name in state_dicts[selected.keys] if not name.startswith(f"{selected.prefix}."))
    if selected.keys:
        yield from (f"{key} ({type(v).__name__})" for key, v in content.items() if str(key) != selected.keys[0])


def _state_dicts(content: object, keys: Keys = ()) -> Iterator[tuple[Keys, State]]:
    """Every mapping from names to tensors, and its path.

    Only keys that are strings are followed: optimizers keep their state under the number of the weight.
    """
    if not isinstance(content, Mapping) or len(keys) > DEPTH:
        return
    if content and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        yield keys, dict(content)
        return
    for key, value in content.items():
        if isinstance(key, str):
            yield from _state_dicts(value, (*keys, key))


def _not_one(path: Path, content: object, selections: list[_Selection], under: str, paths: list[Keys]) -> WeightsError:
    """The error to raise for a file without weights, without weights under the key, or with several state dicts."""
    if selections:
        listed = shown(selection.key for selection in selections)
        return WeightsError(
            f"{path}: it holds weights {len(selections)} times, under {listed}; expected one of them",
            f"say which: --under {printable(selections[-1].key)}",
        )
    if paths:
        listed = shown(".".join(keys) or "no key: it is a state dict itself" for keys in paths)
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
    """Convert a tensor to an array; floating dtypes other than float32 and float64 become float32."""
    kind = "a sparse tensor" if tensor.layout != torch.strided else "quantized" if tensor.is_quantized else ""
    kind = kind or ("complex" if tensor.is_complex() else "on the meta device, without numbers" * tensor.is_meta)
    if kind:
        raise WeightsError(f"{path}: {name} is {kind}; expected an array of real numbers")
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    array: Array = tensor.contiguous().numpy()
    return array
