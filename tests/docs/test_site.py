"""The site that ``make docs`` builds: whole, readable without a network, and like the pages it is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from .pages import pages
from .project import ROOT

for package in ("mkdocs", "nbclient"):
    pytest.importorskip(package, reason="needs the extra 'docs'")
MOVED = {"README.md": "overview", "CONTRIBUTING.md": "contributing"}
SHAPES = (
    "h1",
    "h2",
    "h3",
    "li",
    "pre",
    "table",
    "td",
    "img",
    "blockquote",
    "code",
)  # what the two parsers of Markdown may see differently


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site; a broken link fails here."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    own = {"NO_MKDOCS_2_WARNING": "1", "YAPO_RUN_NOTEBOOKS": "false"}  # `make docs` runs them
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def place(site: Path, page: str) -> Path:
    """Return the file of the site that a page became."""
    name = MOVED.get(page, page.removeprefix("docs/").removesuffix(".md"))
    path = site / f"{name}.html"
    return path if path.exists() else path.with_name("index.html")


def article(path: Path) -> str:
    """Return the text of a page, without navigation and comments."""
    found = re.search(r"<article.*?>(.*?)</article>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None, path
    return re.sub(r"<!--.*?-->|<aside.*?</aside>", "", found[1], flags=re.DOTALL)


def shape(html: str) -> dict[str, int]:
    return {tag: len(re.findall(rf"<{tag}[ >]", html)) for tag in SHAPES}


def test_pages_have_the_lists_tables_and_blocks_of_their_text(site: Path) -> None:
    """The parser of the site wants an empty line before a list, and four spaces for what stands inside one; others do not."""
    markdown = MarkdownIt("commonmark").enable("table")
    generated = "docs/api.md"
    for page in pages(ROOT):
        if page != generated:
            wanted = shape(markdown.render((ROOT / page).read_text(encoding="utf-8")))
            assert shape(article(place(site, page))) == wanted, page


def test_marks_of_blocks_do_not_show(site: Path) -> None:
    for page in pages(ROOT):
        assert not re.search(
            r"&lt;!-- (run|prints|file|edit|not run)", re.sub(r"<code>.*?</code>", "", article(place(site, page)))
        ), page


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    html = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//[^>]*>", html) == []
    assert re.findall(r"<link[^>]*\shref=\"?(?:https?:)?//[^>]*>", html) == []
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles) == []


def test_the_api_has_every_public_name(site: Path) -> None:
    import yapo

    text = (site / "api.html").read_text(encoding="utf-8")
    homes = {match.rpartition(".")[2] for match in re.findall(r'<h3[^>]* id="(yapo\.[\w.]+)"', text)}
    assert set(yapo.__all__) <= homes
    assert text.count("Examples:") >= 2 and "&gt;&gt;&gt; " in text
