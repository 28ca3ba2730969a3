"""A hook of MkDocs: pages of the repository outside docs/ are part of the site, and links to them hold there too."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Address in the site of each page outside docs/. The README cannot keep its name: an index stands beside it.
MOVED = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
KEPT = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "world").rglob("README.md"))]
PLACES = {**MOVED, **{name: name for name in KEPT}, "CITATION.cff": "CITATION.cff"}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/ to the files of the site."""
    for path, place in PLACES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite the links of a page whose target, or which itself, stands elsewhere in the site than in the repository."""
    here = page.file.src_uri
    source = next((path for path, place in PLACES.items() if place == here), f"docs/{here}")

    def placed(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[0]))
        if target == "docs":
            target = "docs/index.md"
        place = PLACES.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(place, posixpath.dirname(here) or ".")

    return LINK.sub(placed, markdown)
