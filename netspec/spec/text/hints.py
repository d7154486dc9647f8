"""What the writer of a spec probably meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from netspec.spec.text.document import ScalarNode, quote

MAX_LISTED = 15
MAX_COMPARED = 2000
_LIKENESS = 0.7
_SHORT, _LIKENESS_OF_SHORT = 5, 0.66  # of `sgd` two letters that changed places are a third
_FEW = 6  # of so few names one letter tells


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name most like a word, case and underscores aside; empty if none is near."""
    import difflib  # noqa: PLC0415 # a right spec needs none

    by_letters: dict[str, str] = {}
    for name in islice(known, MAX_COMPARED):
        by_letters.setdefault(_letters(name), name)
    letters = _letters(word[:100])
    cutoff = _LIKENESS if len(letters) > _SHORT else _LIKENESS_OF_SHORT
    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=cutoff) if len(letters) > 1 else []
    return by_letters[near[0]] if near else _abbreviated(word.lower(), list(by_letters.values()))


def _abbreviated(word: str, known: Collection[str]) -> str:
    """The only name that a word begins, is a part of, or has the initials of: `h`, `slope`, `lr`; empty if none."""
    if len(word) < 2 and not (word and len(known) <= _FEW):
        return ""
    parts = {name: name.lower().split("_") for name in known if name}
    for found in (
        [name for name in parts if name.lower().startswith(word)],
        [name for name, own in parts.items() if word in own],
        [name for name, own in parts.items() if word == "".join(part[:1] for part in own)],
    ):
        if len(found) == 1:
            return found[0]
    return ""


def foreign_letter(word: str) -> str:
    """Which character of a word is none of A to Z, though it may look like one, or empty."""
    found = next((letter for letter in word if not letter.isascii()), "")
    return f"{quote(found)} is U+{ord(found):04X}, not one of A to Z" if found else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or empty.

    >>> did_you_mean("MaxPool2d", ["conv2d", "max_pool2d"]), did_you_mean("lstm", ["conv2d"])
    ("did you mean 'max_pool2d'?", '')
    >>> did_you_mean("r\u0435lu", ["relu"]).isascii()
    False
    """
    near = nearest(word, known)
    # Letters of other alphabets look the same: without it the two names would.
    letter = foreign_letter(word) if near.isascii() else ""
    return f"did you mean {quote(near)}?{f' {letter}' if letter else ''}" if near else ""


def hint_of_whole(node: ScalarNode) -> str:
    """How a number is written, or computed, where it has to be whole; empty for one that is not."""
    if not isinstance(node.value, float):
        return ""
    if "/" in node.expression:
        return "`//` divides to a whole number"
    if node.expression:
        return "what `//` divides to is a whole number, and what `int(…)` or `round(…)` gives"
    return f"write `{int(node.value)}`" if node.value.is_integer() else ""


def suggest(word: str, known: Collection[str], what: str) -> str:
    """A hint with the nearest known name, or with all of them if they are few: `what` says what they are."""
    few = f"{what}: {', '.join(known)}" if 0 < len(known) <= MAX_LISTED else ""
    return did_you_mean(word, known) or few
