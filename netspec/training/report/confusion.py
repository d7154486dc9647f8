"""The confusion matrix: a heat map for few classes, a table of the most confused pairs for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.markup import Element, element

MOST_IN_MAP = 30  # classes in a heat map
PAIRS = 20  # pairs in the table


def confusion_section(confusion: NDArray[np.int64], classes: Sequence[str], counted: str = "samples") -> Element:
    """The section that shows a confusion matrix.

    Args:
        confusion: the number of samples by true class (rows) and predicted class (columns). Shape: (classes, classes).
        classes: the names of the classes.
        counted: what the matrix counts, `samples` or `pixels`.

    Raises:
        NetspecError: the matrix does not have the shape for these classes.
    """
    if confusion.shape != (len(classes), len(classes)):
        raise NetspecError(f"expected a confusion matrix of {len(classes)} classes, received {confusion.shape}")
    few = len(classes) <= MOST_IN_MAP
    body = _heat_map(confusion, classes) if few else _worst_pairs(confusion, classes, counted)
    right, total = int(np.trace(confusion)), int(confusion.sum())
    share = f", {right / total:.1%} of them right".replace("%", " %") if total else ""
    return element(
        "section",
        element("h2", "Confusion"),
        element("p", f"{total:,} validation {counted}{share}.", class_="lead"),
        *body,
        class_="confusion",
    )


def _heat_map(confusion: NDArray[np.int64], classes: Sequence[str]) -> Iterator[Element]:
    totals = confusion.sum(axis=1)
    rows = []
    for index, name in enumerate(classes):
        total = int(totals[index])
        cells = [_cell(int(count), total, name, classes[k], index == k) for k, count in enumerate(confusion[index])]
        recall = _percent(confusion[index, index] / total) if total else "–"
        head = element("th", name, scope="row", title=name)
        rows.append(element("tr", head, *cells, element("td", recall, class_="recall")))
    names = [element("th", element("span", name), scope="col", title=name) for name in classes]
    table = element(
        "table",
        element("thead", element("tr", element("td"), *names, element("th", "recall", scope="col"))),
        element("tbody", *rows),
        class_=_density(classes),
    )
    yield element("div", table, class_="scroll", tabindex="0")
    yield element("p", "Rows are true classes, columns predicted classes.", class_="note")


def _density(classes: Sequence[str]) -> str:
    """The stylesheet classes of the heat map, which choose the direction of names and the size of cells."""
    upright = "short" if max(map(len, classes)) <= 3 else "long"
    return f"{upright} {'crowded' if len(classes) > 20 else 'many' if len(classes) > 12 else 'few'}"


def _cell(count: int, total: int, true: str, predicted: str, right: bool) -> Element:
    """A number on a color as deep as its share of the row, or the share's root for errors, which makes few visible."""
    if not count:
        return element("td")
    share = count / total
    depth = 0.88 * (share if right else share**0.5)
    return element(
        "td",
        f"{count}",
        class_=f"{'right' if right else 'wrong'}{' deep' if depth > 0.5 else ''}",
        style=f"--depth:{depth:.3f}",
        title=f"{true} predicted as {predicted}: {count} of {total}",
    )


def _worst_pairs(confusion: NDArray[np.int64], classes: Sequence[str], counted: str) -> Iterator[Element]:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [(int(k) // len(classes), int(k) % len(classes)) for k in order if wrong.flat[k]]
    if not pairs:
        yield element("p", "No class was predicted as another.", class_="note")
        return
    totals = confusion.sum(axis=1)
    most = max(wrong[a, b] / totals[a] for a, b in pairs)
    rows = []
    for a, b in pairs:
        share = wrong[a, b] / totals[a]
        bar = element("span", class_="bar", style=f"--depth:{share / most:.3f}")
        count = element("td", f"{wrong[a, b]} of {totals[a]}", class_="number")
        rows.append(
            element("tr", element("th", classes[a], scope="row"), element("td", classes[b]), count, element("td", bar))
        )
    head = ("true", "predicted", counted, "")
    table = element(
        "table",
        element("thead", element("tr", *(element("th", text, scope="col") for text in head))),
        element("tbody", *rows),
        class_="pairs",
    )
    yield element("div", table, class_="scroll", tabindex="0")
    yield element("p", f"The {len(pairs)} most confused pairs of {len(classes):,} classes.", class_="note")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
