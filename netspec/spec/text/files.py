"""Reads spec files and the files they extend: UTF-8, bounded in size, never through a misleading symbolic link."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from netspec.errors import NetspecError
from netspec.files import shipped_specs
from netspec.spec.text.document import (
    DocumentNode,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    Source,
    describe,
    quote,
)
from netspec.spec.text.hints import nearest
from netspec.spec.text.reader import read_document

MAX_BYTES = 32 * 2**20
MAX_CHAIN = 16  # files that extend one another
SUFFIXES = (".yaml", ".yml")
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Content(NamedTuple):
    """The expected content of a file, in the words of diagnostics.

    Attributes:
        name: noun for the content, as in "a spec is a mapping".
        keys: its main keys.
        hint: how to write it.
    """

    name: str
    keys: str
    hint: str


SPEC = Content(
    "a spec", "`name`, `input` and `layers`", "`name: …`, then `input: …` and `layers: …`, each on a line of its own"
)


Meant = Callable[[MappingNode, Problems], MappingNode]  # a document read as meant, with its mistakes reported


def read_chain(path: Path, problems: Problems, meant: Meant, at: Position | None = None) -> list[MappingNode]:
    """The document of a file and of the files it extends, directly and indirectly: most derived first.

    Args:
        path: the file.
        problems: collects the problems of the files.
        meant: is applied to the document of each file.
        at: the position at which another file names this one.

    Raises:
        SpecError: a file cannot be read, is not a mapping, or takes part in a cycle of `extends`.
    """
    document = meant(read_file(path, problems, at), problems)
    return [document, *read_bases(document, SPEC, count(1), problems, meant)]


def read_bases(
    node: MappingNode, content: Content, orders: Iterator[int], problems: Problems, meant: Meant = lambda node, _: node
) -> Iterator[MappingNode]:
    """The documents that a mapping extends, directly and indirectly: the nearest first.

    Args:
        node: a document, or a part of one.
        content: expected content of the files.
        orders: gives each file its `Source.order`.
        problems: collects the problems of the files.
        meant: is applied to the document of each file.

    Raises:
        SpecError: a file cannot be read, is not a mapping, or takes part in a cycle of `extends`.
    """
    files = [Path(node.at.source.file)]
    while "extends" in node.entries:
        extends = node.entries["extends"].value
        path = _resolve(extends, files, problems)
        node = meant(read_file(path, problems, extends.at, next(orders), content), problems)
        files.append(path)
        yield node


def read_file(
    path: Path, problems: Problems, at: Position | None = None, order: int = 0, content: Content = SPEC
) -> MappingNode:
    """The document of a file, a mapping. `at` is the position at which another file names this one.

    Raises:
        SpecError: the file cannot be read, or is not a mapping.
    """
    try:
        data = read_bytes(path, MAX_BYTES + 1, SUFFIXES)
    except NetspecError as error:
        problems.fail(at, error.message, error.hint)
    if len(data) > MAX_BYTES:
        problems.fail(at, f"{path} is larger than {MAX_BYTES // 2**20} MiB")
    text = _decode(data, path, problems)
    source = Source(str(path), tuple(text.splitlines()), order)
    document: DocumentNode = read_document(text, source, problems, f"a mapping with {content.keys}")
    if not isinstance(document, MappingNode):
        problems.fail(document.at, f"{content.name} is a mapping, received {describe(document)}", content.hint)
    return document


def read_bytes(path: Path, limit: int, suffixes: tuple[str, ...]) -> bytes:
    """The first `limit` bytes of a file. If there is no such file, a hint may name one with one of the `suffixes`.

    Raises:
        NetspecError: the file cannot be read.
    """
    try:
        # Only a regular file is opened: a pipe could block, and a device could be endless.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise NetspecError(f"{path} is {kind}", f"name a {suffixes[0]} file")
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise NetspecError(f"{path}: is a link to {path.readlink()}, which is not there") from error
        raise NetspecError(f"{path}: there is no such file", _missing_file_hint(path, suffixes)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NetspecError(f"{quote(str(path))[1:-1]} cannot be read: {reason}") from error


def _missing_file_hint(path: Path, suffixes: tuple[str, ...]) -> str:
    """A hint for a file that does not exist: the shipped spec of that name, or the file with the nearest name."""
    if str(path) == "-":
        return f"standard input is not read: name a {suffixes[0]} file"
    if suffixes == SUFFIXES and (shipped := _shipped(path)):
        return f"netspec comes with {shipped}"
    try:
        files = [file for file in path.parent.iterdir() if file.suffix in suffixes and file.exists()]
    except OSError:
        return f"there is no directory {path.parent} either"
    by_stem = {file.stem: file.name for file in files}  # endings are alike without being near
    near = nearest(path.stem, by_stem)
    return f"did you mean {quote(by_stem[near])}?" if near else ""


def _shipped(path: Path) -> Path | None:
    """The spec of this name, or of this path below `specs`, that is installed with netspec."""
    parts = path.parts[path.parts.index("specs") + 1 :] if "specs" in path.parts else (path.name,)
    shipped = shipped_specs().joinpath(*parts).with_suffix(SUFFIXES[0]) if parts else path
    return shipped if shipped.is_file() else None


def _decode(data: bytes, path: Path, problems: Problems) -> str:
    start = Position(Source(str(path), ()), 0, 0)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            problems.fail(start, f"the file is {encoding}, expected UTF-8", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n")
        at = Position(start.source, line, 0)
        byte = f"0x{data[error.start]:02X}"
        problems.fail(at, f"byte {error.start} ({byte}) is not UTF-8 text", "is this a YAML file, saved as UTF-8?")


def _resolve(extends: DocumentNode, files: list[Path], problems: Problems) -> Path:
    """The path that `extends` in the last of the `files` names."""
    path, actual = path_named(extends, files[-1], problems, "extend")
    if actual in {os.path.realpath(file) for file in files}:
        cycle = " → ".join(str(file) for file in (*files, path))
        problems.fail(extends.at, f"the files extend one another in a cycle: {cycle}")
    if len(files) >= MAX_CHAIN:
        problems.fail(extends.at, f"more than {MAX_CHAIN} files extend one another")
    return path


def path_named(node: DocumentNode, here: Path, problems: Problems, to: str = "name") -> tuple[Path, str]:
    """The path of a YAML file that a node in the file `here` names, and the real path of that file.

    Args:
        node: the node.
        here: the file that it stands in.
        problems: collects the problems.
        to: what is done with the file, as in "extend it by its own name".

    Raises:
        SpecError: the node names no YAML file by a path relative to its own, or a symbolic link to one.
    """
    at, named = node.at, node.value if isinstance(node, ScalarNode) else None
    if not isinstance(named, str):
        problems.fail(at, f"expected the path of a YAML file, received {describe(node)}")
    if "://" in named:
        problems.fail(at, f"{quote(named)} is not a path", "download it beside this file, and name that")
    if "\0" in named:
        problems.fail(at, f"{quote(named)} is not a path: no file has the character U+0000 in its name")
    if Path(named).is_absolute():
        problems.fail(at, f"{quote(named)} is absolute", "write the path relative to this file")
    if Path(named).suffix not in SUFFIXES:
        problems.fail(at, f"{quote(named)} is not a YAML file", "expected a name that ends in .yaml or .yml")
    path = Path(os.path.normpath(here.parent / named))
    # The path as written, from this file's real directory, must be the path that the file system resolves it to.
    stated = os.path.normpath(os.path.join(os.path.realpath(here.parent), named))  # noqa: PTH118 - `..` is kept as text
    actual = os.path.realpath(stated)
    if actual != stated:
        shown = os.path.relpath(actual, os.path.realpath(here.parent))
        problems.fail(at, f"{quote(named)} is a symbolic link to {quote(shown)}", f"{to} {shown} by its own name")
    return path, actual
