"""The report of an experiment as a web page: findings with their tables and figures, how they were made, and limits.

One HTML file without scripts: figures and tables are inside it, further pages are linked relative to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from yapo.errors import YapoError
from yapo.reporting.finding import Finding
from yapo.reporting.html import page, render

_BODY, _STYLE, _LIMITS = (Path(__file__).with_name(name) for name in ("report.html.j2", "report.css", "limits.txt"))


def report_page(
    title: str,
    caption: str,
    findings: Sequence[Finding],
    facts: Sequence[tuple[str, str]],
    commands: str,
    folder: Path,
) -> str:
    """Return the whole page.

    Args:
        title, caption: its head.
        findings: its sections, in order; the first one's first table is shown unfolded.
        facts: names and values of what the study was made with.
        commands: what to type to make it again.
        folder: the study's folder, with ``tables/`` and ``figures/``.

    Raises:
        YapoError: a table or figure that a finding names is not there.
    """
    parts = [
        {
            "finding": finding,
            "figures": [(name, figure_address(folder / "figures", name)) for name in finding.figures],
            "tables": [_table(folder / "tables" / f"{name}.html") for name in finding.tables],
            "open": place == 0,
        }
        for place, finding in enumerate(findings)
    ]
    links = (*((finding.name, finding.title) for finding in findings), ("made", "How this was made"))
    body = render(_BODY, parts=parts, facts=facts, commands=commands)
    limits = _LIMITS.read_text(encoding="utf-8").strip().split("\n\n")
    return page(title, caption, limits, body, links, _STYLE)


def figure_address(folder: Path, name: str) -> str:
    """Return the smaller of a figure's two files, as a data URI.

    Raises:
        YapoError: neither is there.
    """
    files = [path for suffix in ("svg", "png") if (path := folder / f"{name}.{suffix}").is_file()]
    if not files:
        raise YapoError(f"{folder / name}.svg: no such file; run the study that makes it again")
    smaller = min(files, key=lambda path: path.stat().st_size)
    kind = "image/svg+xml" if smaller.suffix == ".svg" else "image/png"
    return f"data:{kind};base64,{base64.b64encode(smaller.read_bytes()).decode()}"


def _table(path: Path) -> tuple[str, str, str]:
    """Return name, title and content of a page that ``yapo.reporting.html.page`` made."""
    if not path.is_file():
        raise YapoError(f"{path}: no such file; run the study that makes it again")
    text = path.read_text(encoding="utf-8")
    found = re.search(r"<h1>(.*?)</h1>\s*<main>(.*)</main>", text, flags=re.DOTALL)
    if found is None:
        raise YapoError(f"{path}: not a page of this project; delete it and run the study that makes it again")
    content = re.sub(r"<nav>.*?</nav>", "", found[2], flags=re.DOTALL)
    content = re.sub(r' id="[^"]*"', "", content)  # they would stand in the page twice
    return path.stem, Markup(found[1]), Markup(content)
