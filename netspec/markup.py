"""HTML and SVG as a tree of elements. Text and attributes are escaped where the tree is rendered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

# Characters that XML does not allow or UTF-8 cannot encode; the name of a folder may contain them.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

# Written as `<tag/>`, which HTML accepts for void elements and SVG shapes; other elements need a closing tag.
_CHILDLESS = frozenset({"br", "img", "link", "meta", "circle", "line", "path", "polygon", "polyline", "rect"})

# HTML does not unescape their text, so it is written as it is and must not contain a closing tag.
_VERBATIM = frozenset({"script", "style"})

Value = str | float | None


@dataclass(frozen=True, slots=True)
class Element:
    """An element with its attributes and children. `str` renders it, well-formed as HTML and as XML."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | str, ...]

    def __str__(self) -> str:
        parts: list[str] = []
        _write(self, parts)
        return "".join(parts)


def element(tag: str, *children: Element | str | None, **attributes: Value) -> Element:
    """Make an element. Children and attributes that are None are omitted; numbers have at most two decimals.

    In the name of an attribute a trailing underscore is removed, as in `class_`, and others become hyphens, as in
    `data_name`.

    >>> str(element("p", "1 < 2", element("br"), class_="fact", id=None))
    '<p class="fact">1 &lt; 2<br/></p>'
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    return Element(
        tag,
        tuple((key, value if isinstance(value, str) else decimal(value)) for key, value in pairs),
        tuple(child for child in children if child is not None),
    )


def decimal(value: float) -> str:
    """Format a coordinate with at most two decimals, without trailing zeros or a negative zero.

    >>> decimal(12.5), decimal(3), decimal(-0.001)
    ('12.5', '3', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def points(*pairs: tuple[float, float]) -> str:
    """Format coordinates as the `points` of a polygon or polyline.

    >>> points((0, 1), (2.5, 3))
    '0,1 2.5,3'
    """
    return " ".join(f"{decimal(x)},{decimal(y)}" for x, y in pairs)


def _write(node: Element | str, parts: list[str]) -> None:
    if isinstance(node, str):
        parts.append(escape(_legal(node), quote=False))
        return
    attributes = "".join(f' {name}="{escape(_legal(value))}"' for name, value in node.attributes)
    if node.tag in _CHILDLESS and not node.children:
        parts.append(f"<{node.tag}{attributes}/>")
        return
    parts.append(f"<{node.tag}{attributes}>")
    for child in node.children:
        if node.tag in _VERBATIM:
            parts.append(_verbatim(node.tag, child))
        else:
            _write(child, parts)
    parts.append(f"</{node.tag}>")


def _verbatim(tag: str, text: Element | str) -> str:
    if not isinstance(text, str) or "</" in text:
        raise ValueError(f"<{tag}> holds text as it stands, without '</'; received {text!s:.60}")
    return text


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
