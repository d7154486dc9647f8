"""File → ModelSpec → Graph, with the problems of both steps in one error."""

from __future__ import annotations

import os
from functools import reduce
from pathlib import Path

from netspec.graph import Graph
from netspec.spec.elaborate import elaborate_checked
from netspec.spec.extends.documents import check_new_names, merge_documents
from netspec.spec.extends.parts import inherit_parts
from netspec.spec.meant import spec_as_meant
from netspec.spec.model import Checked, ModelSpec
from netspec.spec.parameters.overrides import Overrides, apply_overrides
from netspec.spec.text.document import Position, Problems
from netspec.spec.text.files import read_chain
from netspec.spec.validate import validate_document


def read_spec(path: str | os.PathLike[str], set: Overrides = ()) -> ModelSpec:
    """The spec of a file, merged with the files that it extends; of a generator, with that of its discriminator.

    Args:
        path: the YAML file.
        set: overrides as `--set` takes them, `["classes=10"]`, or as a mapping, `{"classes": 10}`.

    Raises:
        SpecError: the file cannot be read, or has problems other than those of shapes, which `elaborate` checks.
            If it is raised, it also reports the problems of shapes.
    """
    problems = Problems()
    checked = _read(path, set, problems)
    if problems:
        elaborate_checked(checked, problems)  # for its problems
    problems.raise_any()
    if checked.spec.training is None or checked.spec.training.adversarial is None:
        return checked.spec
    from netspec.spec.pair import read_discriminator  # noqa: PLC0415 # few specs have one

    return read_discriminator(checked.spec, checked.spec.training.adversarial, _read)


def load_graph(path: str | os.PathLike[str], set: Overrides = ()) -> Graph:
    """The graph of a spec file. Arguments as for `read_spec`.

    Raises:
        SpecError: the file cannot be read, or has problems.
    """
    problems = Problems()
    graph = elaborate_checked(_read(path, set, problems), problems)
    problems.raise_any()
    return graph


def _read(
    path: str | os.PathLike[str], overrides: Overrides, problems: Problems, at: Position | None = None
) -> Checked:
    most_derived_first = inherit_parts(read_chain(Path(path), problems, spec_as_meant, at), problems)
    document = reduce(lambda base, derived: merge_documents(base, derived, problems), reversed(most_derived_first))
    if most_derived_first[1:]:
        check_new_names(most_derived_first, document, problems)
    return validate_document(apply_overrides(document, overrides, problems), problems)
