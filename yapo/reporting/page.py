"""The page that a reader opens first: what was found, the tables and figures it rests on, how they were made, and the limits.

One HTML file without scripts: figures and tables are inside it, further pages are linked relative to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from yapo.errors import YapoError
from yapo.reporting.finding import Finding
from yapo.reporting.html import page, render

_STYLE = """\
section.finding { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: .6rem; }
section.finding h2 { font-size: 1.25rem; margin: .2rem 0 .3rem; }
p { max-width: 60rem; margin: .4rem 0; }
p.question { font-style: italic; color: var(--soft); }
img { display: block; max-width: 100%; height: auto; margin: .8rem 0; }
@media screen and (max-width: 40rem) { img { max-width: none; width: 44rem; } }
details { margin: .5rem 0 0; }
summary { cursor: pointer; color: var(--mark); }
.folded h2, .folded h3 { font-size: 1rem; }
ul.limits { padding-left: 1.1rem; max-width: 60rem; font-size: .9rem; color: var(--soft); }
table.facts { width: auto; margin: .6rem 0; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; font-size: .9rem; }
pre { background: var(--fill); padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; }
nav a { display: inline-block; padding: .15rem 0; }
@media screen { details:not([open]) + .folded { display: none; } .folded h3 { display: none; } }
@media print { section.finding { break-inside: auto; } img { max-height: 15cm; width: auto; } details { display: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; } }
"""
# A table stands after its <details>, not in it: what a closed one holds is not printed, and not every browser can be told to.
# On the screen the style sheet hides it while the fold is closed; on paper nothing does, and a heading says what the fold says.

_BODY = """\
{%- for part in parts %}
<section class="finding" id="{{ part.finding.name }}">
<h2>{{ part.finding.title }}</h2>
<p class="question">{{ part.finding.question }}</p>
{%- for line in part.finding.reading.split("\n") %}
<p>{{ line }}</p>
{%- endfor %}
{%- if part.finding.made %}
<p>Made with: {{ part.finding.made }}</p>
{%- endif %}
{%- for name, source in part.figures %}
<div class="wide"><img src="{{ source }}" alt="Figure {{ name }}"></div>
{%- endfor %}
{%- for name, title, content in part.tables %}
<details{{ ' open' if part.open and loop.first }}><summary>{{ title }}</summary></details>
<div class="folded"><h3>{{ title }}</h3>
{{ content }}
</div>
{%- endfor %}
{%- if part.finding.pages %}
<p>More: {% for path in part.finding.pages %}<a href="{{ path|local }}">{{ path }}</a>{{ ", " if not loop.last }}{% endfor %}</p>
{%- endif %}
{%- if part.finding.limits %}
<ul class="limits">{% for limit in part.finding.limits %}<li>{{ limit }}</li>{% endfor %}</ul>
{%- endif %}
</section>
{%- endfor %}
<section class="finding" id="made">
<h2>How this was made</h2>
<div class="wide"><table class="facts"><tbody>
{%- for name, value in facts %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{%- endfor %}
</tbody></table></div>
<p>The same commands make the same files again:</p>
<pre>{{ commands }}</pre>
</section>
"""


@dataclass(frozen=True)
class _Part:
    """A finding with its files: figures as (name, data URI), tables as (name, title, HTML)."""

    finding: Finding
    figures: list[tuple[str, str]]
    tables: list[tuple[str, str, str]]
    open: bool


def report_page(
    title: str,
    caption: str,
    findings: Sequence[Finding],
    facts: Sequence[tuple[str, str]],
    commands: str,
    limits: Sequence[str],
    folder: Path,
) -> str:
    """The whole page.

    Args:
        title, caption: its head.
        findings: its sections, in order; the first one's first table is shown unfolded.
        facts: names and values of what the study was made with.
        commands: what to type to make it again.
        limits: what the whole study does not show.
        folder: the study's folder, with ``tables/`` and ``figures/``.

    Raises:
        YapoError: a table or figure that a finding names is not there.
    """
    parts = [
        _Part(
            finding,
            [(name, _figure(folder / "figures", name)) for name in finding.figures],
            [_table(folder / "tables" / f"{name}.html") for name in finding.tables],
            place == 0,
        )
        for place, finding in enumerate(findings)
    ]
    links = (*((finding.name, finding.title) for finding in findings), ("made", "How this was made"))
    body = render(_BODY, parts=parts, facts=facts, commands=commands)
    return page(title, caption, tuple(limits), body, links, _STYLE)


def _figure(folder: Path, name: str) -> str:
    """The smaller of a figure's two files, as a data URI."""
    files = [path for suffix in ("svg", "png") if (path := folder / f"{name}.{suffix}").is_file()]
    if not files:
        raise YapoError(f"{folder / name}.svg: no such file; run the study that makes it again")
    smaller = min(files, key=lambda path: path.stat().st_size)
    kind = "image/svg+xml" if smaller.suffix == ".svg" else "image/png"
    return f"data:{kind};base64,{base64.b64encode(smaller.read_bytes()).decode()}"


def _table(path: Path) -> tuple[str, str, str]:
    """Name, title and content of a page that ``yapo.reporting.html.page`` made."""
    if not path.is_file():
        raise YapoError(f"{path}: no such file; run the study that makes it again")
    text = path.read_text(encoding="utf-8")
    found = re.search(r"<h1>(.*?)</h1>\s*<main>(.*)</main>", text, flags=re.DOTALL)
    if found is None:
        raise YapoError(f"{path}: not a page of this project; delete it and run the study that makes it again")
    content = re.sub(r"<nav>.*?</nav>", "", found[2], flags=re.DOTALL)
    content = re.sub(r' id="[^"]*"', "", content)  # they would stand in the page twice
    return path.stem, Markup(found[1]), Markup(content)
