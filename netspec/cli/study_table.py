"""The table of a study as lines of text: measured results beside published ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from netspec.cli.table import Column, render_table
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.recipe import Recipe
    from netspec.training.study.model import Study
    from netspec.training.study.results import MemberResult, RunResult, Spread

Cells = Callable[["MemberResult"], str]
ColumnGroup = list[tuple[Column, Cells]]  # columns, each with the function of its cells; shown if any cell has text


def table_lines(study: Study, results: Sequence[MemberResult], width: int | None = None) -> list[str]:
    """Return the title of the study and its table.

    Args:
        study: the study.
        results: the results of its members.
        width: the most characters in a line; None for no limit.
    """
    title = f"{study.name}: {study.source}" if study.source else study.name
    groups = [*_error_columns(results), *(_duration_columns(results) if study.target else ()), _claim_column()]
    groups = [group for group in groups if any(cells(result) for _, cells in group for result in results)]
    columns = [column for group in groups for column in group]
    rows = [[cells(result) for _, cells in columns] for result in results]
    table = render_table([column for column, _ in columns], rows, width)
    return [title, "", *(line for lines in table for line in lines)]


def _error_columns(results: Sequence[MemberResult]) -> Iterator[ColumnGroup]:
    """Yield the columns of names, runs and errors, measured and published."""
    from netspec.training.study.results import against, published_against

    first = results[0]
    name = first.member.name
    has_top5 = any(r.member.published and r.member.published.top5_error is not None for r in results)

    def published(result: MemberResult) -> str:
        figures = result.member.published
        return _pair(figures.top1_error, figures.top5_error, "") if figures else ""

    def difference(result: MemberResult) -> str:
        measured = against(result, first)
        return _pair(measured.top1, measured.top5 if has_top5 else None, "+") if result is not first else ""

    def published_difference(result: MemberResult) -> str:
        figures = published_against(result.member, first.member)
        return _pair(figures.top1, figures.top5, "+")

    top5: ColumnGroup = (
        [(Column("top-5 error", right=True), lambda result: _percent(result.error_top5))] if has_top5 else []
    )
    yield [(Column("member"), lambda result: result.member.name), (Column("runs", right=True), _finished)]
    yield [
        (Column("top-1 error", right=True), lambda result: _percent(result.error)),
        *top5,
        (Column("published", right=True), published),
    ]
    yield [(Column(f"against {name}", right=True), difference), (Column("published", right=True), published_difference)]
    yield [(Column("best", right=True), lambda r: f"{r.best_error:.2%}" if r.best_error is not None else "")]


def _duration_columns(results: Sequence[MemberResult]) -> Iterator[ColumnGroup]:
    """Yield the columns of the epochs and seconds until the target of the study was reached."""
    from netspec.training.study.results import against

    first = results[0]

    def ratios(result: MemberResult) -> str:
        measured = against(result, first)
        values = (measured.epochs, measured.seconds) if result is not first else ()
        return " / ".join(f"{ratio:.3g}" for ratio in values if ratio)

    yield [(Column("epochs", right=True), _epochs), (Column("seconds", right=True), lambda r: _figure(r.seconds))]
    yield [(Column(f"times {first.member.name}'s", right=True), ratios)]


def _claim_column() -> ColumnGroup:
    return [(Column("published", fold=True), lambda r: (r.member.published.claim or "") if r.member.published else "")]


def _finished(result: MemberResult) -> str:
    finished, total = sum(run.state == "finished" for run in result.runs), len(result.runs)
    return str(finished) if finished == total else f"{finished} of {total}"


def _epochs(result: MemberResult) -> str:
    """Return the epochs to the target, over the runs that reached it, and how many finished runs missed it."""
    from netspec.training.material import recipe_of

    missed = [run for run in result.runs if run.missed_target]
    if not missed:
        return _figure(result.epochs)
    length = f"not in {_length(recipe_of(result.member.spec))}"
    return f"{_figure(result.epochs)}, {len(missed)} {length}" if result.epochs else length


def _length(recipe: Recipe) -> str:
    return counted(recipe.epochs, "epoch") if recipe.epochs is not None else f"{recipe.steps:,} steps"


def _percent(value: Spread | None) -> str:
    if value is None:
        return ""
    deviation = f" ± {100 * value.deviation:.2f}" if value.deviation is not None else ""
    return f"{100 * value.mean:.2f}{deviation}%"


def _figure(value: Spread | None) -> str:
    if value is None:
        return ""
    return f"{value.mean:.1f}" + (f" ± {value.deviation:.1f}" if value.deviation is not None else "")


def _pair(top1: float | None, top5: float | None, sign: str) -> str:
    """Return `top-1 / top-5` in percent, or top-1 alone; with the sign `+`, differences in percentage points."""
    texts = [f"{100 * value:{sign}.2f}" for value in (top1, top5) if value is not None]
    return " / ".join(texts) + ("" if sign or not texts else "%")


def note_lines(study: Study, results: Sequence[MemberResult]) -> list[str]:
    """Return how to read the table, which runs are not finished, and the sources of the published figures."""
    first = results[0].member
    data = f"{study.data.name}, {study.data.path}" if study.data.name else study.data.path
    notes = [f"trained in {study.backend} on {data}"]
    if len(study.seeds) > 1:
        notes.append(f"±: the standard deviation over seeds, of {', '.join(map(str, study.seeds))}")
    if study.target is not None:
        ratios = f"; times {first.name}'s: both, divided by those of {first.name}" if results[1:] else ""
        notes.append(f"epochs, seconds: of training until {study.target} was reached{ratios}")
    for result in results:
        changes = "; ".join(f"{each.path} {each.now}, not {each.before}" for each in result.recipe)
        notes += [f"the recipe of {result.member.name} differs from {first.name}'s: {changes}"] if changes else []
    for result in results:
        notes += [_unfinished(run, result) for run in result.runs if run.state in {"begun", "failed"}]
    for result in results:
        other = [run for run in result.runs if run.differs]
        notes += [f"{run.name}: not counted, another run: {'; '.join(run.differs)}" for run in other]
    for result in results:
        if result.member.published is not None:
            notes.append(f"published, {result.member.name}: {result.member.published.source}")
    return notes


def _unfinished(run: RunResult, result: MemberResult) -> str:
    from netspec.training.material import recipe_of

    recipe = recipe_of(result.member.spec)
    done = str(run.epoch) if recipe.epochs is not None else counted(run.epoch, "epoch")
    error = f", validation error {run.last_error:.2%}" if run.last_error is not None else ""
    failure = f": {run.failure.splitlines()[0]}" if run.failure else ""
    state = "failed" if run.failure else "not finished"
    return f"{run.name}: {state} after {done} of {_length(recipe)}{error}{failure}"
