"""Numbers with nouns, and lists of names, for messages."""

from __future__ import annotations

from collections.abc import Iterable

LISTED = 20  # problems, or names, that a message lists before "… more"


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless the number is 1.

    >>> counted(1, "layer"), counted(1024, "weight")
    ('1 layer', '1,024 weights')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def abbreviate(names: Iterable[str], most: int = LISTED) -> str:
    """Join the first names, and add how many more there are.

    >>> abbreviate(["cat", "dog"]), abbreviate(["cat", "dog", "hen"], 2)
    ('cat, dog', 'cat, dog and 1 more')
    """
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def indented(lines: Iterable[str], most: int = LISTED) -> str:
    """Put the first lines below one another, indented, and below them how many more there are.

    >>> print(indented(["one", "two", "three"], 1))
      one
      … and 2 more
    """
    every = list(lines)
    more = [f"… and {len(every) - most:,} more"] if len(every) > most else []
    return "\n".join(f"  {line}" for line in [*every[:most], *more])
