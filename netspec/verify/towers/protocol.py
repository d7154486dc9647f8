"""The protocol between a process and the tower processes that it starts: JSON of known types, followed by arrays.

Nothing that is received can execute code: a type that is not listed here is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from netspec.graph import Graph, Head, Hint, Input, Node, Normalization, Preprocessing
from netspec.graph.scopes import Formula, Scope
from netspec.lowering import Batch, Gradients, StepResult, TowerSettings, TrainerSettings, TrainingState
from netspec.ops import OPS
from netspec.ops.base import Array
from netspec.recipe import Recipe
from netspec.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class Request:
    """A call to make in a process.

    Attributes:
        what: `backend`, `model`, `trainer`, or a method of the model or trainer that was made last.
        arguments, options: positional and keyword arguments.
    """

    what: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a request.

    Attributes:
        value: the result. Only the first tower's has its arrays.
        checksum: of the arrays, which have to be the same in all towers.
        error: message and hint of a NetspecError, if one was raised.
        trace: the traceback of any other exception.
    """

    value: Any = None
    checksum: int = 0
    error: tuple[str, str] | None = None
    trace: str = ""


RECORDS: Final = {
    kind.__name__: kind
    for kind in (
        *(Request, Reply, Batch, StepResult, TrainingState, TrainerSettings, Normalization),
        *(Gradients, TowerSettings),
        *(Graph, Input, Node, Head, Scope, Formula, TensorType),
    )
}
ENUMS: Final = {kind.__name__: kind for kind in (DType, Hint)}
MODELS: Final[dict[str, type[BaseModel]]] = {"Recipe": Recipe, "Preprocessing": Preprocessing, **OPS}
NUMBERS: Final = "biuf"  # kinds of NumPy dtypes that hold no references


def send(connection: Connection[Any, Any], value: Any) -> None:
    """Send a value. Its arrays follow the JSON one by one, without a copy.

    Raises:
        OSError: the other process is gone.
        TypeError: the value has a type that is not listed here.
    """
    arrays: list[Array] = []
    text = json.dumps(_plain(value, arrays))
    connection.send_bytes(json.dumps([[array.dtype.str, array.shape] for array in arrays]).encode())
    connection.send_bytes(text.encode())
    for array in arrays:
        if array.nbytes:
            connection.send_bytes(array.reshape(-1).view(np.uint8).data)


def receive(connection: Connection[Any, Any]) -> Any:
    """Receive a value. Its arrays are writable.

    Raises:
        EOFError: the other process is gone.
        TypeError: the value has a type that is not listed here.
    """
    arrays = [_empty(*described) for described in json.loads(connection.recv_bytes())]
    text = connection.recv_bytes()
    for array in arrays:
        if array.nbytes:
            connection.recv_bytes_into(array.reshape(-1).view(np.uint8))
    return _value(json.loads(text), arrays)


def _empty(name: str, shape: list[int]) -> Array:
    dtype = np.dtype(name)
    if dtype.kind not in NUMBERS:
        raise TypeError(f"arrays of {dtype} are not sent")
    return np.empty(shape, dtype)


def _plain(value: Any, arrays: list[Array]) -> Any:
    """A value as JSON; one of a type that JSON lacks is an object with one entry, named after the type."""
    match value:
        case DType() | Hint():
            return {type(value).__name__: value.value}
        case None | bool() | int() | float() | str():
            return value
        case np.ndarray():
            if value.dtype.kind not in NUMBERS:
                raise TypeError(f"arrays of {value.dtype} are not sent")
            arrays.append(np.ascontiguousarray(value).reshape(value.shape))
            return {"array": len(arrays) - 1}
        case BaseModel():
            return {_listed(getattr(value, "kind", type(value).__name__), MODELS): json.loads(value.model_dump_json())}
        case Mapping():
            return {"mapping": [[_plain(key, arrays), _plain(each, arrays)] for key, each in value.items()]}
        case _ if (names := _names_of(value)) is not None:
            record = {name: _plain(getattr(value, name), arrays) for name in names}
            return {_listed(type(value).__name__, RECORDS): record}
        case list() | tuple() | frozenset():
            return {type(value).__name__: [_plain(each, arrays) for each in value]}
    raise TypeError(f"a {type(value).__name__} is not sent")


def _names_of(value: Any) -> tuple[str, ...] | None:
    """The field names of a dataclass or named tuple; None for any other value."""
    if is_dataclass(value):
        return tuple(field.name for field in fields(value))
    return getattr(value, "_fields", None)


def _listed(name: str, kinds: Mapping[str, object]) -> str:
    if name not in kinds:
        raise TypeError(f"a {name} is not sent")
    return name


def _value(plain: Any, arrays: list[Array]) -> Any:
    """The inverse of `_plain`."""
    if not isinstance(plain, dict):
        return plain
    ((name, content),) = plain.items()
    match name:
        case "array":
            return arrays[content]
        case "mapping":
            return {_value(key, arrays): _value(each, arrays) for key, each in content}
        case "list" | "tuple" | "frozenset":
            kind = {"list": list, "tuple": tuple, "frozenset": frozenset}[name]
            return kind(_value(each, arrays) for each in content)
    if name in ENUMS:
        return ENUMS[name](content)
    if name in MODELS:
        return MODELS[name].model_validate_json(json.dumps(content))
    return RECORDS[_listed(name, RECORDS)](**{key: _value(each, arrays) for key, each in content.items()})
