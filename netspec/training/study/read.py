"""Study file → Study: the file and all specs that it names are checked before the first run, all problems at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from netspec.errors import Diagnostic, NetspecError, SpecError
from netspec.spec import elaborate, read_spec
from netspec.spec.fields.messages import Subject, validate
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Position, Problems, plain, quote
from netspec.spec.text.files import Content, read_file
from netspec.spec.trainable import trainable_graph
from netspec.spec.validate import NAME_PATTERN
from netspec.training.data.sources import DIGITS
from netspec.training.material import recipe_of
from netspec.training.study.model import Member, MemberEntry, Study, StudyData, StudyEntry

_CONTENT = Content("a study", "`study` and `members`", "`study: …`, then `members: {name: {spec: file.yaml}}`")
LONGEST_NAME = 100  # characters; names of studies and members become folder names


def read_study(path: Path, overrides: Sequence[str] = (), seeds: Sequence[int] = ()) -> Study:
    """Read a study file and the specs of its members.

    Args:
        path: the YAML file.
        overrides: `name=value` settings for every member, which take precedence over the study's.
        seeds: seeds to use instead of the file's.

    Raises:
        SpecError: the study or the spec of a member cannot be read or is invalid.
    """
    problems = Problems()
    document = read_file(path, problems, content=_CONTENT)
    start = Position(document.at.source, 0, 0)
    if "layers" in document.entries:
        problems.fail(start, "this is the spec of a network, and a study was expected", "`netspec train` trains it")
    entry = validate(StudyEntry, Subject(document, start, "study"), problems)
    _check_names(document, problems)
    if entry is not None:
        _check_seeds(document, entry, problems)
    problems.raise_any()
    assert entry is not None  # noqa: S101 # otherwise a problem was raised
    reader = _MemberReader(path, document, overrides, problems)
    members = [reader.read(name, member, entry) for name, member in entry.members.items()]
    reader.raise_any()
    return Study(
        name=entry.study,
        source=entry.source,
        data=_locate(entry.data, path),
        backend=entry.backend,
        seeds=tuple(seeds) or entry.seeds,
        target=entry.target,
        members=tuple(member for member in members if member is not None),
    )


def _check_names(document: MappingNode, problems: Problems) -> None:
    """Check the names of the study and its members, which become folder names."""
    named: list[tuple[Position, str]] = []
    if "study" in document.entries:
        node = document.entries["study"].value
        named += [(node.at, name)] if isinstance(name := plain(node), str) else []
    members = document.entries.get("members")
    if members is not None and isinstance(members.value, MappingNode) and not members.value.entries:
        problems.add(members.at, "a study needs at least one member")
    named += [(entry.at, name) for name, entry in _mapping(document, "members").items()]
    for at, name in named:
        if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME:
            problems.add(
                at,
                f"{quote(name)} cannot name a folder: expected letters of A to Z, digits, _ and -, a letter first, "
                f"{LONGEST_NAME} at most",
            )


def _check_seeds(document: MappingNode, entry: StudyEntry, problems: Problems) -> None:
    if len(set(entry.seeds)) < len(entry.seeds):
        problems.add(document.entries["seeds"].value.at, "a seed is listed twice: both runs would be the same")


def _mapping(document: DocumentNode, *path: str) -> Mapping[str, Entry]:
    """The entries of the mapping at a path of keys; empty if there is no such mapping."""
    for key in path:
        if not isinstance(document, MappingNode) or key not in document.entries:
            return {}
        document = document.entries[key].value
    return document.entries if isinstance(document, MappingNode) else {}


def _locate(data: StudyData, study: Path) -> StudyData:
    """The same data, with paths relative to the current folder instead of the study file."""

    def located(path: str | None) -> str | None:
        if path is None or path == DIGITS or "://" in path:
            return path
        return os.path.normpath(study.parent / path)

    return data.model_copy(update={"path": located(data.path), "validation": located(data.validation)})


class _Setting(NamedTuple):
    """An item of `set:`, as the text that `--set` takes, and its entry in the file."""

    text: str
    entry: Entry

    @property
    def value_column(self) -> int:
        """The offset of the value in the text."""
        return self.text.index("=") + 1


class _MemberReader:
    """Reads the specs of members. A problem with a setting is reported at its place in the study file."""

    def __init__(self, path: Path, document: MappingNode, overrides: Sequence[str], problems: Problems) -> None:
        self._path = path
        self._document = document
        self._overrides = overrides
        self._problems = problems
        self._in_specs: dict[Diagnostic, None] = {}  # an ordered set: members may share a spec

    def read(self, name: str, member: MemberEntry, study: StudyEntry) -> Member | None:
        """Read a member; return None if it has problems, which are recorded."""
        at = _mapping(self._document, "members", name)["spec"].value.at
        settings = [
            *_settings(study.set, _mapping(self._document, "set")),
            *_settings(member.set, _mapping(self._document, "members", name, "set")),
        ]
        if Path(member.spec).is_absolute():
            self._problems.add(at, f"{quote(member.spec)} is absolute", "write the path relative to this file")
            return None
        path = Path(os.path.normpath(self._path.parent / member.spec))
        try:
            spec = read_spec(path, [*(setting.text for setting in settings), *self._overrides])
            if spec.discriminator is not None:
                raise NetspecError(
                    f"{spec.name} is a generator, and a study compares errors on labelled samples",
                    "`netspec train` trains it by itself",
                )
            trainable_graph(elaborate(spec), recipe_of(spec))
        except SpecError as error:
            for diagnostic in error.diagnostics:
                self._record(diagnostic, at, settings)
            return None
        except NetspecError as error:
            self._problems.add(at, error.message, error.hint)
            return None
        return Member(name, spec, member.published)

    def _record(self, diagnostic: Diagnostic, spec_at: Position, settings: Iterable[_Setting]) -> None:
        where, message, hint = diagnostic.where, diagnostic.message, diagnostic.hint
        if where is None:  # a problem of the spec file as a whole
            self._problems.add(spec_at, message, hint)
            return
        for setting in settings:
            if (where.file, where.text) == ("--set", setting.text):
                on_value = where.column - 1 >= setting.value_column
                self._problems.add(setting.entry.value.at if on_value else setting.entry.at, message, hint)
                return
        self._in_specs[diagnostic] = None

    def raise_any(self) -> None:
        """Raise all problems, those of the study before those of the specs.

        Raises:
            SpecError: there is a problem.
        """
        if self._problems or self._in_specs:
            in_study = self._problems.error().diagnostics if self._problems else ()
            raise SpecError([*in_study, *self._in_specs])


def _settings(values: Mapping[str, object], entries: Mapping[str, Entry]) -> list[_Setting]:
    """Settings as texts, with each value as JSON, which is valid YAML."""
    return [
        _Setting(f"{name}={json.dumps(value, ensure_ascii=False)}", entries[name]) for name, value in values.items()
    ]
