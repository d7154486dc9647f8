"""Elements as HTML and XML: what is escaped, and what is refused."""

from xml.etree import ElementTree

import pytest

from netspec.markup import decimal, element


def test_names_of_users_stay_text() -> None:
    hostile = "</title><script>alert(1)</script>&\"'"
    markup = str(element("p", hostile, title=hostile))
    parsed = ElementTree.fromstring(markup)  # noqa: S314 # ours
    assert (parsed.text, parsed.get("title"), len(parsed)) == (hostile, hostile, 0)


def test_what_no_document_can_hold_is_replaced() -> None:
    markup = str(element("p", "a\x00b\udcffc\x1b", id="\x07"))
    assert markup == '<p id="?">a?b?c?</p>'.replace("?", "\N{REPLACEMENT CHARACTER}")
    assert markup.encode()


def test_shapes_close_themselves_and_other_tags_do_not() -> None:
    assert str(element("div", element("rect", x=1), element("span"), None)) == '<div><rect x="1"/><span></span></div>'


def test_a_style_is_verbatim_and_cannot_end_early() -> None:
    assert str(element("style", "a > b {}")) == "<style>a > b {}</style>"
    with pytest.raises(ValueError, match="without '</'"):
        str(element("script", "'</script>'"))


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (0.125, "0.12"), (-0.004, "0"), (1e6, "1000000")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert decimal(value) == text
