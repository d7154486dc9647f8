"""Hints at the name or number that the writer of a spec probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import islice

from netspec.spec.text.document import ScalarNode, quote

MAX_LISTED = 15  # names that a hint lists
MAX_COMPARED = 2000  # names that a word is compared with
_CUTOFF = 0.7  # of difflib's similarity ratio
_SHORT, _CUTOFF_OF_SHORT = 5, 0.66  # `sdg` is still like `sgd`: two swapped letters are a third of so short a word
_FEW = 6  # among so few names one letter is enough
_KEY_AND_VALUE = re.compile(r"(\w+)( *[:=;]+ *| +)([^ :=;].*)")  # `filters 256`, `filters=256`
_FOREIGN_EXPRESSION = re.compile(r"\$(\w+)|\{\{?\s*([^{}]+?)\s*\}?\}|\$\((\w+)\)|<(\w+)>|%(\w+)%?")
_NEAR = 8  # similar names among which one that a slip of the hand explains is preferred


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name most similar to a word, ignoring case, `_` and `-`; empty if none is similar."""
    import difflib  # noqa: PLC0415 # only for the hint

    by_letters: dict[str, str] = {}
    for name in islice(known, MAX_COMPARED):
        by_letters.setdefault(_letters(name), name)
    letters = _letters(word[:100])
    cutoff = _CUTOFF if len(letters) > _SHORT else _CUTOFF_OF_SHORT
    near = difflib.get_close_matches(letters, by_letters, n=_NEAR, cutoff=cutoff) if len(letters) > 1 else []
    if not near:
        return _abbreviated(word.lower(), list(by_letters.values()))
    return by_letters[min(near, key=lambda name: _slips(letters, name))]


def _slips(word: str, name: str) -> int:
    """Rank of the slip that turns a name into a word: 0 for two swapped letters, 1 for one letter, 2 for more.

    >>> [_slips("erlu", name) for name in ("relu", "elu", "gelu")]
    [0, 1, 2]
    """
    start = _common(word, name)
    end = _common(word[start:][::-1], name[start:][::-1])
    written, meant = word[start : len(word) - end], name[start : len(name) - end]
    if len(written) == 2 and written[::-1] == meant:
        return 0
    return 1 if max(len(written), len(meant)) <= 1 else 2


def _common(one: str, other: str) -> int:
    """Number of letters with which both words begin."""
    pairs = zip(one, other, strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _abbreviated(word: str, known: Collection[str]) -> str:
    """The only name of which a word is the beginning, a part or the initials (`h`, `slope`, `lr`); empty if none."""
    if len(word) < 2 and not (word and len(known) <= _FEW):
        return ""
    parts = {name: name.lower().split("_") for name in known if name}
    for matches in (
        [name for name in parts if name.lower().startswith(word)],
        [name for name, words in parts.items() if word in words],
        [name for name, words in parts.items() if word == "".join(part[:1] for part in words)],
    ):
        if len(matches) == 1:
            return matches[0]
    return ""


def foreign_letter(word: str) -> str:
    """A hint that names the first character outside of ASCII, which may look like a Latin letter; empty if none."""
    letter = next((letter for letter in word if not letter.isascii()), "")
    return f"{quote(letter)} is U+{ord(letter):04X}, not one of A to Z" if letter else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the most similar known name; empty if there is none.

    >>> did_you_mean("MaxPool2d", ["conv2d", "max_pool2d"]), did_you_mean("lstm", ["conv2d"])
    ("did you mean 'max_pool2d'?", '')
    >>> did_you_mean("filters 256", ["filters", "stride"])
    'a colon is missing: `filters: 256`'
    >>> did_you_mean("filters=256", ["filters", "stride"])
    'a key is followed by a colon and a space: `filters: 256`'
    >>> did_you_mean("r\u0435lu", ["relu"]).isascii()
    False
    """
    known = list(known)
    if (parts := _KEY_AND_VALUE.fullmatch(word)) and parts[1] in known:
        what = "a key is followed by a colon and a space" if parts[2].strip() else "a colon is missing"
        return f"{what}: `{parts[1]}: {parts[3]}`"
    near = nearest(word, known)
    # Letters of other alphabets can look the same: then both names would, and the letter is named.
    letter = foreign_letter(word) if near.isascii() else ""
    return f"did you mean {quote(near)}?{f' {letter}' if letter else ''}" if near else ""


def expression_hint(text: str, names: Collection[str]) -> str:
    """A hint at the expression that a text would be in another language, or without its braces; empty if there is none.

    >>> expression_hint("width", ["width"]), expression_hint("$width", []), expression_hint("relu", [])
    ('write `${width}`', 'write `${width}`', '')
    """
    if text in names:
        return f"write `${{{text}}}`"
    foreign = _FOREIGN_EXPRESSION.fullmatch(text)
    return f"write `${{{next(filter(None, foreign.groups()))}}}`" if foreign else ""


def integer_hint(node: ScalarNode) -> str:
    """A hint at how to write, or to compute, a float that has to be an integer; empty where there is none."""
    if not isinstance(node.value, float):
        return ""
    if "//" in node.expression:  # of a float
        return "`int(…)` and `round(…)` give whole numbers"
    if "/" in node.expression:
        return "`//` divides to a whole number"
    if node.expression:
        return "`//`, `int(…)` and `round(…)` give whole numbers"
    return f"write `{int(node.value)}`" if node.value.is_integer() else ""


def suggest(word: str, known: Collection[str], introduction: str) -> str:
    """A hint with the most similar known name or a foreign letter, or if they are few with all names, introduced."""
    listed = f"{introduction}: {', '.join(known)}" if 0 < len(known) <= MAX_LISTED else ""
    return did_you_mean(word, known) or foreign_letter(word) or listed
