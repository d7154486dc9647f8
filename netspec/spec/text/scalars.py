"""Resolves plain YAML scalars by the core schema of YAML 1.2, and hints at values that look like others.

`1e-4` is a number, `no` is a string, `010` is ten. PyYAML's resolver is not used because it follows YAML 1.1,
where each of these is something else. Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import math
import re

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_START = frozenset("+-.0123456789")

MAX_INTEGER = 2**63 - 1
# No number of more digits fits into 64 bits, whatever its base: such texts are not converted.
_MAX_DIGITS = 24
# Bounds of an integer and of a float of a layer. Products with numbers up to `MAX_FLOAT`, and draws many standard
# deviations out, still fit into float32; `LEAST_FLOAT` is float32's least positive normal number.
MAX_NUMBER = 2**31
MAX_FLOAT, LEAST_FLOAT = 1e30, 2.0**-126


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar.

    >>> [resolve_scalar(text) for text in ("1e-4", "no", "010", "0o17", "0x1F", "~", "12:30")]
    [0.0001, 'no', 10, 15, 31, None, '12:30']

    Raises:
        ValueError: the number does not fit into a 64-bit integer or float.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text, text.lstrip("+-"), 10)
    if _OCTAL.fullmatch(text):
        return _integer(text, text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return _integer(text, text[2:], 16)
    if _FLOAT.fullmatch(text):
        return _float(text)
    return text


def scalar_text(value: object) -> str:
    """The text of a scalar in YAML, without quotes.

    >>> [scalar_text(value) for value in (True, None, 0.5, float("-inf"), "relu")]
    ['true', 'null', '0.5', '-.inf', 'relu']
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    return str(value)


def _integer(text: str, digits: str, base: int) -> int:
    digits = digits.lstrip("0") or "0"
    magnitude = int(digits, base) if len(digits) <= _MAX_DIGITS else MAX_INTEGER + 1
    if magnitude > MAX_INTEGER:
        raise ValueError(f"{_shorten(text)} does not fit into a 64-bit integer")
    return -magnitude if text[0] == "-" else magnitude


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{_shorten(text)} is beyond the largest 64-bit float, about 1.8e308")
    mantissa = re.split("[eE]", text)[0]
    if value == 0 and re.search("[1-9]", mantissa):
        raise ValueError(f"{_shorten(text)} is nearer to zero than any 64-bit float; write 0 if that is meant")
    return value


def _shorten(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:20]}… ({len(text)} characters)"


def lookalike(text: str, *, boolean: bool = True, number: bool = True) -> str:
    """A hint for a string that was probably meant as a boolean, null or number; empty if it looks like none of them.

    `boolean` and `number` tell what may stand in its place.
    """
    if boolean and text.lower() in {"yes", "no", "on", "off", "y", "n"}:
        return "in YAML 1.2 the booleans are `true` and `false`; this word is a string"
    if boolean and text.lower() in {"true", "false"}:
        return f"without quotes it is a boolean: `{text.lower()}`"
    if text.lower() in {"none", "nil"}:
        return "YAML writes nothing as `null`"
    if text.lower() in {"nan", "inf", "+inf", "-inf", "infinity"}:
        return "only finite numbers are taken"
    if not number:
        return ""
    if not text.isascii():
        return _lookalike_of_number(text)
    bare = text.replace("_", "").replace(",", "").strip()
    if not _is_number(bare):
        return ""
    return f"without {'quotes' if bare == text else 'separators'} it is a number: `{bare}`"


def _is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        value = resolve_scalar(text)
    except ValueError:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _lookalike_of_number(text: str) -> str:
    """A hint for a number with digits or a sign outside of ASCII, as in a table copied from a paper."""
    import unicodedata  # noqa: PLC0415 # only for the hint

    number = unicodedata.normalize("NFKC", text).translate({0x2212: "-", 0x2013: "-"})
    if not _is_number(number):
        return ""
    letter = next(each for each in text if not each.isascii())
    return f"write `{number}`: '{letter}' is U+{ord(letter):04X}"


def out_of_range(number: float) -> str:
    """Why a layer cannot have a number: it is too large, or is zero or infinite in float32. Empty if it can.

    >>> out_of_range(4_000_000_000)
    '4,000,000,000 is beyond what a layer can have: at most 2,147,483,648'
    """
    if isinstance(number, int):
        return f"{number:,} is beyond what a layer can have: at most {MAX_NUMBER:,}" if abs(number) > MAX_NUMBER else ""
    if math.isfinite(number) and abs(number) > MAX_FLOAT:
        return f"{number:g} is beyond what a layer can have in float32: at most {MAX_FLOAT:g}"
    if 0 < abs(number) < LEAST_FLOAT:
        return f"{number:g} is 0 in float32, whose least positive number is about {LEAST_FLOAT:.1e}"
    return ""
