"""Numbers with nouns, for messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless the number is 1.

    >>> counted(1, "layer"), counted(1024, "weight")
    ('1 layer', '1,024 weights')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
