"""Fenced blocks of the README and of ``docs/``, each with the comment above it that says how it is tested.

==============================  =====================================================================================
``<!-- run -->``                A bash or Python block. ``make docs-check`` runs all of it. The tests run its Python and its
                                ``python -m`` and ``yapo`` lines, and check the settings and targets of its other commands.
``<!-- run: slow -->``          The same, in ``make docs-check`` only.
``<!-- prints -->``             The output of the block before it; ``...`` stands for anything.
``<!-- file: PATH -->``         The block is the file PATH for the rest of the page.
``<!-- edit: PATH -->``         Each line takes the place of the line of PATH that begins alike.
``<!-- not run: REASON -->``    Nothing runs. Commands in it are still checked as above.
==============================  =====================================================================================

The pages run in a copy of the project in which the embedded study is small (``small.yaml``), so commands are run as they stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from markdown_it import MarkdownIt

Kind = Literal["run", "prints", "file", "edit", "not run"]
MARK = re.compile(r"<!-- (?P<kind>[a-z ]+?)(?:: (?P<value>.+))? -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of the page, relative to the project.
        line: line of the opening fence, counted from 1.
        language: word after the fence.
        kind: word of the mark above it.
        value: what follows the colon of the mark.
    """

    page: str
    line: int
    language: str
    text: str
    kind: Kind
    value: str

    @property
    def place(self) -> str:
        """Return page and line, as an editor opens them."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Return the commands of a bash block, one an entry, continued lines joined."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#")] if self.language == "bash" else []


def pages(root: Path) -> list[str]:
    """Return the pages that are tested, the README first."""
    found = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))]
    return [*found, *sorted(str(path.relative_to(root)) for path in (root / "world").rglob("*.md"))]


def blocks(root: Path, page: str) -> list[Block]:
    """Return the fenced blocks of a page in order. Raises ValueError where one has no mark, or a mark that does not fit it."""
    found: list[Block] = []
    above = ""
    for token in MarkdownIt("commonmark").parse((root / page).read_text(encoding="utf-8")):
        if token.type == "fence" and token.map:
            found.append(_block(page, token.map[0] + 1, token.info.strip(), token.content, above))
        above = token.content.strip() if token.type == "html_block" else ""
    return found


def code_spans(root: Path, page: str) -> list[str]:
    """Return the commands that stand in the text of a page, between backquotes."""
    tokens = MarkdownIt("commonmark").parse((root / page).read_text(encoding="utf-8"))
    spans = [child.content for token in tokens for child in token.children or [] if child.type == "code_inline"]
    spans = [f"snakemake {span}" if span.startswith("--config ") else span for span in spans]
    sketch = re.compile(r"<|\.\.\.|\b[A-Z]{4,}\b")  # a place that the reader fills in
    return [span for span in spans if span.startswith(("snakemake ", "make ", "python ", "yapo ")) and not sketch.search(span)]


def _block(page: str, line: int, language: str, text: str, above: str) -> Block:
    mark = MARK.fullmatch(above)
    if mark is None or mark["kind"] not in get_args(Kind):
        raise ValueError(f"{page}:{line}: no mark above this block; tests/docs/pages.py lists them")
    block = Block(page, line, language, text, cast(Kind, mark["kind"]), " ".join((mark["value"] or "").split()))
    wanted = {"run": language in ("bash", "python"), "prints": language == "text"}
    if not wanted.get(block.kind, True):
        raise ValueError(f"{block.place}: a {language or 'plain'} block cannot be marked '{block.kind}'")
    fits = block.value in ("", "slow") if block.kind == "run" else bool(block.value) == (block.kind != "prints")
    if not fits:
        raise ValueError(f"{block.place}: '{block.kind}: {block.value}' is no mark; tests/docs/pages.py lists them")
    return block
