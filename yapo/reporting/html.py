"""Self-contained web pages: tables and examples, readable on screen and on paper, with no script and no outside file."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from yapo.reporting.render import DAGGER, MINUS, MISSING, Sheet

STYLE = """\
:root { --ink: #1d2433; --soft: #5d6678; --line: #d9dee7; --fill: #f5f7fa; --mark: #0b5cad; --warn: #9a4b00; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 78rem; background: #fff; color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Devanagari", "Noto Sans Arabic", sans-serif; }
h1 { font-size: 1.45rem; margin: 0 0 .4rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
a { color: var(--mark); }
p.caption { margin: 0 0 .5rem; max-width: 60rem; }
nav { display: flex; flex-wrap: wrap; font-size: .9rem; margin: .5rem 0 0; }
nav a { margin-right: 1rem; white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table.cells { table-layout: fixed; }
@media screen { table.cells { min-width: calc(7rem * var(--columns)); } }
tbody tr.starts:not(:first-child) { border-top: 1px solid var(--ink); }
thead th { border-bottom: 2px solid var(--ink); border-top: 2px solid var(--ink); text-align: right; padding: .35rem .6rem;
  white-space: nowrap; background: #fff; }
table.cells thead th { white-space: normal; vertical-align: bottom; }
thead th.head { text-align: left; }
tbody th { text-align: left; font-weight: 500; vertical-align: top; padding: .3rem .6rem; white-space: nowrap; background: #fff; }
td { text-align: right; vertical-align: top; padding: .3rem .6rem; white-space: nowrap; }
tbody tr { border-bottom: 1px solid var(--line); }
tbody tr:last-child { border-bottom: 2px solid var(--ink); }
tr.aggregate td, tr.aggregate th.sticky { background: var(--fill); }
tr.aggregate th.sticky { font-style: italic; }
th.first { font-weight: 700; }
td b { font-weight: 700; }
small { display: block; font-size: .74rem; line-height: 1.25; color: var(--soft); font-weight: 400; font-style: normal; }
td small { white-space: normal; }
small.failures { color: var(--warn); }
.delta { font-size: .74rem; color: var(--soft); margin-left: .3rem; }
.delta.rise { color: var(--mark); }
.delta.fall { color: var(--warn); }
ul.notes { padding-left: 1.1rem; margin-top: 1rem; max-width: 60rem; font-size: .85rem; color: var(--soft); }
article { margin: 0 0 1.6rem; break-inside: avoid; }
article h3 { font-size: .95rem; font-weight: 600; margin: 0 0 .3rem; }
article table { table-layout: fixed; min-width: 40rem; }
article td, article thead th { text-align: start; white-space: normal; overflow-wrap: anywhere; }
article .narrow { width: 8rem; }
article tr.asked { background: var(--fill); }
article ol { margin: .2rem 0; padding-inline-start: 1.6rem; }
article p { margin: 0; }
article [lang="ar"] { font-family: "Noto Naskh Arabic", "Noto Sans Arabic", "Geeza Pro", "Segoe UI", sans-serif;
  font-size: 1.08em; }
article [lang="hi"] { font-family: "Noto Sans Devanagari", "Kohinoor Devanagari", "Nirmala UI", sans-serif; }
.score { font-size: .78rem; color: var(--soft); margin-inline: .5rem; white-space: nowrap; }
.right { color: #1a6b2d; }
.wrong { color: #a32020; }
@media screen { .sticky { position: sticky; left: 0; } }
@media (max-width: 40rem) { body { padding: .8rem; } }
@page { size: landscape; margin: 12mm; }
@media print { html { font-size: 9pt; } body { max-width: none; padding: 0; font-size: 8pt; } section { break-inside: avoid; }
  h1, h2, h3, p.caption { break-after: avoid; } .wide { overflow: visible; } nav { display: none; }
  small, .delta { font-size: .85em; } tr { break-inside: avoid; } thead { display: table-header-group; }
  td, thead th, tbody th { white-space: normal; overflow-wrap: anywhere; padding: .2em .3em; }
  table.cells { font-size: clamp(4.5pt, calc(100pt / var(--columns)), 8pt); } article table { min-width: 0; } }
"""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<main>
<p class="caption">{{ caption }}</p>
{%- if links %}
<nav>{% for anchor, text in links %}<a href="#{{ anchor }}">{{ text }}</a>{% endfor %}</nav>
{%- endif %}
{{ body }}
<ul class="notes">
{%- for note in notes %}
<li>{{ note }}</li>
{%- endfor %}
</ul>
</main>
</body>
</html>
"""

_TABLE = """\
{%- for group in sheet.groups %}
<section id="group-{{ loop.index }}">
{%- if group.heading %}
<h2>{{ group.heading }}</h2>
{%- endif %}
<div class="wide" tabindex="0">
<table class="cells" style="--columns: {{ sheet.heads|length + sheet.columns|length }}">
<thead><tr>
{%- for name in sheet.heads %}<th class="head{{ ' sticky' if loop.last }}" scope="col">{{ name }}</th>{% endfor %}
{%- for name in sheet.columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in group.rows %}
{%- set starts = row.heads|length > 1 and (loop.first or row.heads[0] != loop.previtem.heads[0]) %}
<tr class="{{ 'aggregate' if row.aggregate }}{{ ' starts' if starts }}">
{%- if starts -%}
{%- set lines = group.rows|selectattr('heads.0', 'equalto', row.heads[0])|list -%}
<th class="first" scope="rowgroup" rowspan="{{ lines|length }}">{{ row.heads[0] }}</th>
{%- endif -%}
<th class="sticky" scope="row">{{ row.heads[-1] }}{% if row.counts %}<small>{{ row.counts }}</small>{% endif %}</th>
{%- for cell in row.cells %}
{%- if cell is none %}<td>{{ missing }}</td>
{%- else %}<td{% if cell.detail %} title="{{ cell.detail }}"{% endif %}>
{%- if cell.best %}<b>{{ cell.value }}</b>{% else %}{{ cell.value }}{% endif %}
{%- if cell.delta %}<span class="delta{{ cell.delta|direction }}">{{ cell.delta }}</span>{% endif %}
{%- if cell.interval %}<small>{{ cell.interval }}</small>{% endif %}
{%- if cell.failures %}<small class="failures">{{ dagger }} {{ cell.failures }}</small>{% endif %}</td>
{%- endif %}
{%- endfor %}</tr>
{%- endfor %}
</tbody>
</table>
</div>
</section>
{%- endfor %}
"""


_DELTAS = "Small numbers after a value: difference from the baseline of the same row, a rise in blue, a fall in orange."


def render(template: str, **values: Any) -> str:
    """Fill a Jinja template with every value escaped; a missing value is an error."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["local"] = local_address
    environment.filters["direction"] = _direction
    return environment.from_string(template).render(**values)


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
    title: str, caption: str, notes: tuple[str, ...], body: str, links: tuple[tuple[str, str], ...] = (), style: str = ""
) -> str:
    """A whole page around ``body``, which is HTML already; ``links`` are (anchor, text) pairs shown under the caption.

    ``style`` is CSS of this kind of page alone.
    """
    safe = {"style": Markup(STYLE + style), "body": Markup(body)}
    return render(_PAGE, title=title, caption=caption, notes=notes, links=links, **safe)


def table_page(sheet: Sheet) -> str:
    """The page of one table: one scrollable table per group, the interval under each value, counts in each row."""
    body = render(_TABLE, sheet=sheet, dagger=DAGGER, missing=MISSING)
    headings = [group.heading for group in sheet.groups]
    links = tuple((f"group-{place}", heading) for place, heading in enumerate(headings, start=1)) if len(headings) > 1 else ()
    compared = any(cell and cell.delta for group in sheet.groups for row in group.rows for cell in row.cells)
    notes = (*([_DELTAS] if compared else []), *sheet.notes)
    return page(sheet.title, sheet.caption, notes, body, links)
