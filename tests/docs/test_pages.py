"""README and docs/ as pages: links lead somewhere, and tables that repeat the code are those of the code."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from netspec.passes.optimize import PASSES
from tests.docs.markdown import PAGES, ROOT, anchors, links, rows
from tests.docs.op_table import page as op_page


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            assert parts.fragment in anchors(target), link


def test_every_page_is_linked_from_the_front_door() -> None:
    named = {(ROOT / urlsplit(link).path).resolve() for link in links(ROOT / "README.md")}
    assert {page for page in PAGES if page.name != "README.md"} <= named


def test_the_passes_are_those_of_the_code() -> None:
    told = [row for row in rows(ROOT / "docs" / "speed.md") if row[0].strip("`") in {own.name for own in PASSES}]
    assert told == [[f"`{own.name}`", ", ".join(own.levels), own.summary] for own in PASSES]


def test_the_ops_are_those_of_the_code() -> None:
    written = (ROOT / "docs" / "ops.md").read_text()
    assert written == op_page(), "`python -m tests.docs.op_table > docs/ops.md` writes the page as it is now"
