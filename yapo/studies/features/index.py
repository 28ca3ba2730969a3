"""The page that leads to the pages of all vectors, and lists the features that countries share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yapo.reporting.html import page, render
from yapo.studies.features.pages import PAGE_STYLE, WORDS, Words, number


def index_page(title: str, caption: str, notes: Sequence[str], sections: Sequence[IndexSection], figures: Sequence[str]) -> str:
    """The page that leads to all others; ``figures`` are addresses of pictures."""
    body = render(_INDEX, sections=sections, figures=figures, number=number)
    return page(title, caption, tuple(notes), body, style=PAGE_STYLE)


@dataclass(frozen=True)
class SharedFeature:
    """A feature that is among the strongest in several countries."""

    number: int
    address: str
    countries: tuple[str, ...]
    effect: float
    words: Words


@dataclass(frozen=True)
class IndexSection:
    """One task and setting: the pages by country (rows) and method (columns), and the shared features of each method."""

    anchor: str
    heading: str
    methods: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    shared: tuple[tuple[str, tuple[SharedFeature, ...]], ...]


_INDEX = (
    WORDS
    + """\
{%- for section in sections %}
<h2 id="{{ section.anchor }}">{{ section.heading }}</h2>
<div class="wide" tabindex="0">
<table class="beside">
<thead><tr><th class="head" scope="col">Country</th>
{%- for method in section.methods %}<th scope="col">{{ method }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for country, links in section.rows %}
<tr><th scope="row">{{ country }}</th>
{%- for address, text in links %}<td><a href="{{ address|local }}">{{ text }}</a></td>{% endfor %}</tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- for method, features in section.shared if features %}
<h3>{{ method }}: strongest features that countries share</h3>
<div class="wide" tabindex="0">
<table class="shared">
<thead><tr><th class="head" scope="col">Feature</th><th scope="col">Countries</th><th scope="col">Mean effect</th>
<th class="head" scope="col">Writes</th><th class="head" scope="col">Where</th></tr></thead>
<tbody>
{%- for feature in features %}
<tr><th scope="row">
{%- if feature.address %}<a href="{{ feature.address }}">{{ feature.number }}</a>{% else %}{{ feature.number }}{% endif %}</th>
<td>{{ feature.countries|length }}</td><td>{{ number(feature.effect, 3, true) }}</td>
<td class="words">{{ words(feature.words.promoted) }}</td><td class="words">{{ feature.countries|join(', ') }}</td></tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- endfor %}
{%- endfor %}
{%- for figure in figures %}
<p><img src="{{ figure|local }}" alt=""></p>
{%- endfor %}
"""
)
