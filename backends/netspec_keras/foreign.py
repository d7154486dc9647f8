"""Reading weights files of Keras as arrays by layer and variable, with h5py only: no layer is built and no code runs.

There are two layouts. Files of Keras 1 and 2, which keras.applications distributes, have a group for each layer, whose
attribute lists the names of its arrays (keras/src/legacy/saving/legacy_h5_format.py). Files of Keras 3 have a group for
each layer by class and number, `layers/conv2d_3/vars`, with the layer's name as an attribute, and numbered arrays
(keras/src/saving/saving_lib.py). In both cases, an array is named by its layer, preceded by the enclosing layers, and
its variable: `conv2_block1_1_conv.kernel`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from netspec.errors import BackendError, WeightsError
from netspec.lowering import ForeignWeights
from netspec.lowering.foreign import require_plausible
from netspec.ops.base import Array
from netspec_keras.variables import default_name, legacy_variable, snake_case, variable_names

ARCHIVE: Final = ".keras"
DAMAGED: Final = "it may be cut short, or of another format"
WEIGHTS_IN_ARCHIVE: Final = "model.weights.h5"
SAVE_WHOLE: Final = (
    "early versions of Keras 3 store names in .keras files only: model.load_weights(FILE), model.save('NAME.keras')"
)


class Variable(NamedTuple):
    """An array of the file.

    Attributes:
        layers: the names of its layer and of the enclosing layers, outermost first.
        name: the name of the variable.
        data: an h5py.Dataset, not read yet.
    """

    layers: tuple[str, ...]
    name: str
    data: Any

    @property
    def path(self) -> str:
        """The path with dots, such as `stem.stem_conv.kernel`."""
        return ".".join([*self.layers, self.name])


def read_layers(path: Path) -> ForeignWeights:
    """Read all weights of a file in either layout, or of a `.keras` archive.

    Raises:
        BackendError: h5py is not installed.
        WeightsError: the file is damaged, refers to other files, or lacks the names of layers.
    """
    if importlib.util.find_spec("h5py") is None:
        raise BackendError("h5py, which reads files of Keras, is not installed here", "pip install 'netspec[keras]'")
    _require_harmless(path)
    try:
        return _read(path)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # h5py raises many different errors on damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"{path}: not a readable file of Keras: {reason}", DAMAGED) from error


def _require_harmless(path: Path) -> None:
    """Read the file in a subprocess first: some damage makes the HDF5 library write out of bounds, and crash."""
    code = f"from pathlib import Path; from {__name__} import survive; survive(Path({os.fspath(path)!r}))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)  # noqa: S603
    if result.returncode:
        raise WeightsError(f"{path}: not a readable file of Keras: the HDF5 library crashes on it", DAMAGED)


def survive(path: Path) -> None:
    """Read a file and ignore all exceptions; for `_require_harmless`, which looks for crashes."""
    with suppress(Exception):
        _read(path)


def _read(path: Path) -> ForeignWeights:
    return _read_archive(path) if path.name.lower().endswith(ARCHIVE) else _read_hdf5(path, path, {})


def _read_archive(path: Path) -> ForeignWeights:
    """Read the weights of a `.keras` archive, with the names of layers from its configuration."""
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS_IN_ARCHIVE not in archive.namelist():
            raise WeightsError(f"{path}: there is no {WEIGHTS_IN_ARCHIVE} in it", "expected what model.save() writes")
        require_plausible(path, sum(info.file_size for info in archive.infolist()))
        config = json.loads(archive.read("config.json"))
        return _read_hdf5(path, io.BytesIO(archive.read(WEIGHTS_IN_ARCHIVE)), dict(_layer_names(config, "")))


def _layer_names(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """The path of each layer in the weights file, such as `layers/conv2d_1` for the second Conv2D, and its name."""
    counts: Counter[str] = Counter()
    for layer in config["config"].get("layers", ()):
        kind = snake_case(layer["class_name"])
        path = f"{prefix}layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else "")
        counts[kind] += 1
        yield path, str(layer["config"]["name"])
        yield from _layer_names(layer, f"{path}/")


def _read_hdf5(path: Path, opened: Path | io.BytesIO, names: Mapping[str, str]) -> ForeignWeights:
    import h5py

    with h5py.File(opened, "r") as file:
        root = _child(path, file, "model_weights") if "model_weights" in file else file
        legacy = any(key.startswith("layer_names") for key in root.attrs)
        skipped: Counter[str] = Counter()
        variables = list(_legacy_variables(path, root) if legacy else _variables(path, file, names, skipped))
        if not variables:
            raise WeightsError(f"{path}: no layer in it has weights", "expected what Keras's save_weights() writes")
        require_plausible(path, sum(math.prod(v.data.shape) * v.data.dtype.itemsize for v in variables))
        variables, notes = _renumbered(variables)
        if skipped:
            listed = ", ".join(f"{number} in {what}" for what, number in skipped.items())
            notes.append(f"arrays that are not of layers, and not read: {listed}")
        return ForeignWeights({name: _array(path, v) for name, v in _by_path(path, variables).items()}, tuple(notes))


def _legacy_variables(path: Path, root: Any) -> Iterator[Variable]:
    """The variables of a file with `layer_names` and `weight_names`."""
    for layer in _strings(root, "layer_names"):
        group = _child(path, root, layer)
        weights = [(name, re.sub(r":\d+$", "", name)) for name in _strings(group, "weight_names")]
        parents = {clean.rpartition("/")[0] for _, clean in weights}
        for name, clean in weights:
            relative = clean.removeprefix(f"{layer}/")
            parent, _, variable = relative.rpartition("/")
            # A single parent other than the layer has a name that depends on the session, and is ignored.
            inner = parent.split("/") if parent and (relative != clean or len(parents) > 1) else []
            outer = layer.replace("/", "_")  # Keras 3 has underscores where older names have slashes
            yield Variable((outer, *inner), legacy_variable(variable, layer), _dataset(path, group, name))


def _variables(path: Path, file: Any, names: Mapping[str, str], skipped: Counter[str]) -> Iterator[Variable]:
    """The variables of a file with groups `vars`; `skipped` counts the arrays that do not belong to layers."""
    seen: set[int] = set()

    def walk(group: Any, place: str, layers: tuple[str, ...]) -> Iterator[Variable]:
        if (address := group.id.__hash__()) in seen:  # a group can contain itself
            raise WeightsError(f"{path}: the group {place or '/'!r} is in it twice")
        seen.add(address)
        kind = re.sub(r"_\d+$", "", place.rpartition("/")[2])
        if "vars" in group:
            arrays = _child(path, group, "vars")
            name = str(arrays.attrs.get("name") or names.get(place, ""))
            numbers = sorted(arrays, key=int)
            if numbers and (not place.startswith("layers/") or kind == "seed_generator"):
                skipped[kind if kind == "seed_generator" else place.partition("/")[0] or "the model"] += len(numbers)
                return
            if numbers and not name:
                raise WeightsError(f"{path}: {place} has weights, and the file does not name the layer", SAVE_WHOLE)
            layers = (*layers, name) if place and name else layers
            for variable, number in zip(variable_names(kind, len(numbers)), numbers, strict=True):
                yield Variable(layers, variable, _dataset(path, arrays, number))
        for key in sorted(key for key in group if key != "vars"):
            yield from walk(_child(path, group, key), f"{place}/{key}" if place else key, layers)

    yield from walk(file, "", ())


def _renumbered(variables: list[Variable]) -> tuple[list[Variable], list[str]]:
    """The variables, and notes, with default names of layers counted from 0: Keras counts through a whole session."""
    lowest: dict[str, int] = {}
    for variable in variables:
        if default := default_name(variable.layers[-1]):
            kind, number = default
            lowest[kind] = min(lowest.get(kind, number), number)
    shifted = {kind: first for kind, first in lowest.items() if first}

    def renamed(layer: str) -> str:
        kind, number = default_name(layer) or ("", 0)
        if kind not in shifted:
            return layer
        return f"{kind}_{number - shifted[kind]}" if number > shifted[kind] else kind

    notes = [f"layers that Keras numbered are counted from 0: {kind}_{n} is {kind}" for kind, n in shifted.items()]
    return [v._replace(layers=(*v.layers[:-1], renamed(v.layers[-1]))) for v in variables], notes


def _by_path(path: Path, variables: list[Variable]) -> dict[str, Variable]:
    by_path = {variable.path: variable for variable in variables}
    if len(by_path) < len(variables):
        name, _ = Counter(variable.path for variable in variables).most_common(1)[0]
        raise WeightsError(f"{path}: two of its arrays are named {name}", "the file is damaged")
    return by_path


def _child(path: Path, group: Any, name: str) -> Any:
    """The group at a relative path in a group; raises if a link leaves the file."""
    import h5py

    for part in name.split("/"):
        _require_hard_link(path, group, part)
        group = group[part]
        if not isinstance(group, h5py.Group):
            raise WeightsError(f"{path}: {group.name} is an array, where a group was expected")
    return group


def _dataset(path: Path, group: Any, name: str) -> Any:
    """The dataset at a relative path in a group; raises if its data is in another file."""
    import h5py

    parent, _, last = name.rpartition("/")
    group = _child(path, group, parent) if parent else group
    _require_hard_link(path, group, last)
    dataset = group[last]
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise WeightsError(
            f"{path}: {group.name}/{last} is not an array in this file: a group, or data of another file"
        )
    return dataset


def _require_hard_link(path: Path, group: Any, name: str) -> None:
    """Require that a name exists and is not a soft or external link."""
    import h5py

    if name not in group:
        raise WeightsError(f"{path}: {group.name} should have {name}, but does not", "the file is damaged")
    if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
        raise WeightsError(f"{path}: {group.name}/{name} is a link; files that refer elsewhere are not read")


def _array(path: Path, variable: Variable) -> Array:
    data = variable.data
    array: Array = np.asarray(data)
    if data.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2:  # the upper half of a float32
        array = (array.view("<u2").astype("<u4") << 16).view("<f4")
    if array.dtype.kind not in "fiub":
        raise WeightsError(f"{path}: {variable.path} is of {array.dtype}; expected numbers")
    return array


def _strings(group: Any, name: str) -> list[str]:
    """The names in an attribute; a long list is split into attributes `layer_names0`, `layer_names1` and so on."""
    numbered = takewhile(lambda part: part in group.attrs, (f"{name}{number}" for number in count()))
    parts = [name] if name in group.attrs else list(numbered)
    texts = (text for part in parts for text in group.attrs[part])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
