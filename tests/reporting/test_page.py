"""The report page: self-contained, and nothing of it twice."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from yapo.errors import YapoError
from yapo.reporting.finding import Finding
from yapo.reporting.html import table_page
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.report_page import report_page

FINDING = Finding(
    "transfer",
    "Transfer <matrix>",
    "Do vectors travel?",
    "Some do.\nOthers & their kin don't.",
    limits=("It is small.",),
    tables=("transfer",),
    figures=("transfer",),
    pages=("features/index.html",),
)


class Page(HTMLParser):
    """Addresses that a browser would fetch, and every id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.sources += [values["src"]] if "src" in values else []
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        assert tag not in ("script", "link", "iframe")


def split_by_medium(style: str) -> tuple[list[str], list[str], list[str]]:
    """The style sheet's rules: those of every medium, of screens and of paper."""
    rules: dict[str, list[str]] = {"": [], "screen": [], "print": []}
    for medium, inner, rule in re.findall(r"@media ([^{]*?) *{((?:[^{}]*{[^{}]*})*)\s*}|([^{}]*{[^{}]*})", style):
        found = re.findall(r"[^{}]*{[^{}]*}", inner) if medium else [rule]
        rules[medium if medium in rules else "screen"] += [" ".join(text.split()) for text in found]
    return rules[""], rules["screen"], rules["print"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = (TableRow(("Egypt",), (Cell("1.0", "[0.5, 1.5]"),)),)
    groups = (Group("One", rows), Group("Two", rows))
    sheet = Sheet("transfer", "Transfer", "From A to B.", ("A note.",), ("Country",), ("YaPO",), groups)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "transfer.html").write_text(table_page(sheet), encoding="utf-8")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "transfer.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "figures" / "transfer.png").write_bytes(b"0" * 100)
    return tmp_path


def made(folder: Path, *findings: Finding) -> str:
    facts = [("Model", "world/model"), ("Methods", "YaPO & others")]
    return report_page("Study", "A note.", findings, facts, "snakemake --cores 2 report", folder)


def test_everything_is_inside_and_links_stay_beside_it(folder: Path) -> None:
    page = Page(made(folder, FINDING))
    (source,) = page.sources
    assert base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"
    assert [link for link in page.links if not link.startswith("#")] == ["features/index.html"]
    assert {link[1:] for link in page.links if link.startswith("#")} == {"transfer", "made"} <= set(page.ids)


def test_texts_are_shown_as_they_are(folder: Path) -> None:
    text = made(folder, FINDING)
    for shown in (
        "Transfer &lt;matrix&gt;",
        "Others &amp; their kin don",
        "YaPO &amp; others",
        "It is small.",
        "Vectors are trained once, with one seed",
        "A note.",
    ):
        assert shown in text
    assert "<p>Some do.</p>" in text


def test_a_table_comes_whole_and_no_id_stands_twice(folder: Path) -> None:
    text = made(folder, FINDING, Finding("again", "Again", "?", "!", tables=("transfer",)))
    assert text.count("[0.5, 1.5]") == 4
    assert text.count("From A to B.") == 2
    ids = Page(text).ids
    assert len(ids) == len(set(ids))
    assert len(re.findall(r"<details open>", text)) == 1


def test_on_paper_every_table_is_there_with_its_title_whatever_is_folded(folder: Path) -> None:
    """The contents of a closed ``<details>`` are not printed, so that nothing but the title may be in one."""
    text = made(folder, FINDING, Finding("again", "Again", "?", "!", tables=("transfer",)))
    style, _, body = text.partition("</style>")
    assert re.findall(r"<details(?: open)?>(.*?)</details>", body) == ["<summary>Transfer</summary>"] * 2
    assert len(re.findall(r'</details>\s*<div class="folded"><h3>Transfer</h3>(?:(?!</?details).)*?<table', body, re.DOTALL)) == 2
    everywhere, screen, paper = split_by_medium(style)
    assert "details:not([open]) + .folded { display: none; }" in screen
    assert ".folded" not in "".join(rule for rule in everywhere + paper if "none" in rule or "hidden" in rule)
    assert "details { display: none; }" in paper


def test_on_paper_a_table_takes_the_width_there_is(folder: Path) -> None:
    text = made(folder, FINDING)
    everywhere, screen, paper = split_by_medium(text.partition("</style>")[0])
    assert re.findall(r'<table class="cells" style="([^"]*)">', text) == ["--columns: 2"] * 2  # no width of its own
    assert "table.cells { min-width: calc(7rem * var(--columns)); }" in screen
    assert not [rule for rule in everywhere if rule.startswith("table.cells") and "min-width" in rule]
    assert "@page { size: landscape; margin: 12mm; }" in everywhere
    for rule in ("tr { break-inside: avoid; }", "thead { display: table-header-group; }", ".wide { overflow: visible; }"):
        assert rule in paper


@pytest.mark.parametrize("missing", ["tables/transfer.html", "figures/transfer"])
def test_a_file_that_is_not_there(folder: Path, missing: str) -> None:
    for path in folder.glob(f"{missing}*"):
        path.unlink()
    with pytest.raises(YapoError, match=rf"{missing}.*no such file; run the study"):
        made(folder, FINDING)


def test_another_page_is_refused(folder: Path) -> None:
    (folder / "tables" / "transfer.html").write_text("<html></html>", encoding="utf-8")
    with pytest.raises(YapoError, match=r"transfer.html: not a page of this project"):
        made(folder, FINDING)
