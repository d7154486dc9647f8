"""README and docs/ as pages: link targets exist, and tables that repeat the code agree with it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from netspec.passes.optimize import PASSES
from tests.docs.markdown import PAGES, ROOT, anchors, links, rows
from tests.docs.op_table import page as op_page


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            assert parts.fragment in anchors(target), link


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / urlsplit(link).path).resolve() for link in links(ROOT / "README.md")}
    assert {page for page in PAGES if page.name != "README.md"} <= linked


def test_the_table_of_passes_is_up_to_date() -> None:
    names = {each.name for each in PASSES}
    table = [row for row in rows(ROOT / "docs" / "speed.md") if row[0].strip("`") in names]
    assert table == [[f"`{each.name}`", ", ".join(each.levels), each.summary] for each in PASSES]


def test_the_page_of_ops_is_up_to_date() -> None:
    page = (ROOT / "docs" / "ops.md").read_text()
    assert page == op_page(), "update it by `python -m tests.docs.op_table > docs/ops.md`"
