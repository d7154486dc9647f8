"""What the writer of a spec probably meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from netspec.spec.document import quote

MAX_LISTED = 15
MAX_COMPARED = 2000
_LIKENESS = 0.66


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name most like a word, case and underscores aside; empty if none is near."""
    import difflib  # noqa: PLC0415 # a right spec needs none

    by_letters: dict[str, str] = {}
    for name in islice(known, MAX_COMPARED):
        by_letters.setdefault(_letters(name), name)
    near = difflib.get_close_matches(_letters(word[:100]), by_letters, n=1, cutoff=_LIKENESS)
    return by_letters[near[0]] if near else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or empty.

    >>> did_you_mean("MaxPool2d", ["conv2d", "max_pool2d"]), did_you_mean("lstm", ["conv2d"])
    ("did you mean 'max_pool2d'?", '')
    """
    near = nearest(word, known)
    return f"did you mean {quote(near)}?" if near else ""


def suggest(word: str, known: Collection[str], what: str) -> str:
    """A hint with the nearest known name, or with all of them if they are few: `what` says what they are."""
    few = f"{what}: {', '.join(known)}" if 0 < len(known) <= MAX_LISTED else ""
    return did_you_mean(word, known) or few
