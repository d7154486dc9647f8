"""Numbers with nouns, and lists of names, for messages."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 20  # problems, or names, that a message lists before "… more"


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless the number is 1.

    >>> counted(1, "layer"), counted(1024, "weight")
    ('1 layer', '1,024 weights')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def abbreviate(names: Sequence[str]) -> str:
    """Join the first `LISTED` names, and add how many more there are.

    >>> abbreviate(["cat", "dog"])
    'cat, dog'
    """
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
