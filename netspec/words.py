"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """So many of something.

    >>> counted(1, "layer"), counted(1024, "weight")
    ('1 layer', '1,024 weights')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
