"""Self-contained web pages, readable on screen and on paper, with no script and no outside file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from yapo.reporting.render import DAGGER, DASH, MINUS, Sheet

_PAGE, _TABLE, _STYLE = (Path(__file__).with_name(name) for name in ("page.html.j2", "table.html.j2", "page.css"))
_DELTAS = "Small numbers after a value: difference from the baseline of the same row, a rise in blue, a fall in orange."


def render(template: Path, **values: Any) -> str:
    """Fill a Jinja template with every value escaped; a missing value is an error."""
    return _compiled(template).render(**values)


@cache
def _compiled(path: Path) -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"local": local_address, "direction": _direction}
    return environment.from_string(path.read_text(encoding="utf-8"))


def local_address(path: str) -> str:
    """Return the address of a file relative to a page; no name in it makes it another scheme or another machine."""
    address = quote(path, safe="/#")
    return f".{address}" if address.startswith("/") else address


def _direction(delta: str) -> str:
    """Return the class of a signed difference as printed: a rise is blue and a fall orange, 0 is neither."""
    if not delta.strip("+0.,%" + MINUS):
        return ""
    return " fall" if delta.startswith(MINUS) else " rise"


def page(
    title: str,
    caption: str,
    notes: Sequence[str],
    body: str,
    links: Sequence[tuple[str, str]] = (),
    style: Path | None = None,
) -> str:
    """Return a whole page.

    Args:
        title, caption: its head.
        notes: its end, as a list.
        body: HTML.
        links: (anchor, text) pairs under the caption.
        style: CSS of this kind of page alone.
    """
    css = "".join(path.read_text(encoding="utf-8") for path in (_STYLE, style) if path)
    safe = {"style": Markup(css), "body": Markup(body)}
    return render(_PAGE, title=title, caption=caption, notes=notes, links=links, **safe)


def table_page(sheet: Sheet) -> str:
    """Return the page of one table: one scrollable table per group, the interval under each value, counts in each row."""
    body = render(_TABLE, sheet=sheet, dagger=DAGGER, missing=DASH)
    headings = [group.heading for group in sheet.groups]
    links = [(f"group-{place}", heading) for place, heading in enumerate(headings, start=1)] if len(headings) > 1 else []
    compared = any(cell and cell.delta for group in sheet.groups for row in group.rows for cell in row.cells)
    return page(sheet.title, sheet.caption, [*([_DELTAS] if compared else []), *sheet.notes], body, links)
