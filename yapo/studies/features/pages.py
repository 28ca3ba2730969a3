"""One web page per steering vector: its strongest features, what they write, and where they fire before and during steering."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.reporting.html import page, render
from yapo.reporting.names import label, writing
from yapo.reporting.render import DASH, MINUS
from yapo.studies.features.text import Window

NEURONPEDIA = "https://www.neuronpedia.org"
INDEX = "index.html"


@dataclass(frozen=True)
class Example:
    """A token on which a feature fires, with the topic of its question."""

    activation: float
    topic: str
    window: Window


@dataclass(frozen=True)
class Words:
    """Tokens that a direction makes likelier, and those that it makes less likely, strongest first."""

    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]


@dataclass(frozen=True)
class FeatureCard:
    """What the page says of one feature.

    Attributes:
        number: in the autoencoder.
        effect: signed, in units of the residual stream; ``share`` of the sum of all absolute effects.
        weight: λv_j of a sparse vector; None for a dense one.
        cosine: of the vector's mean displacement with the decoder row.
        fires, fires_during: share of tokens.
        activation: mean code over all tokens.
        kept: labelled numbers of its coherence, such as ("tokens", 0.9, 0.1): name, value, control.
    """

    number: int
    effect: float
    share: float
    weight: float | None
    cosine: float
    fires: float
    fires_during: float
    activation: float
    kept: tuple[tuple[str, float, float], ...]
    words: Words
    before: tuple[Example, ...]
    during: tuple[Example, ...]


@dataclass(frozen=True)
class Weighed:
    """A feature in the order of weight × activation, of a sparse vector.

    Attributes:
        number: in the autoencoder.
        weight: λv_j.
        activation: mean code over all tokens, before steering.
        effect: as in ``FeatureCard``, and ``place`` in the order of effects, from 1.
    """

    number: int
    weight: float
    activation: float
    effect: float
    place: int
    words: Words


@dataclass(frozen=True)
class Beside:
    """Another method's vector for the same questions: cosine of displacements, shared strongest features, expected by chance."""

    method: str
    cosine: float
    shared: int
    of: int
    expected: float


@dataclass(frozen=True)
class VectorPage:
    """A page. ``links`` are groups of (heading, [(address, text, is this page)])."""

    language: str
    country: str
    method: str
    task: str
    setting: str
    facts: tuple[tuple[str, str], ...]
    words: Words
    cards: tuple[FeatureCard, ...]
    weighed: tuple[Weighed, ...]
    beside: tuple[Beside, ...]
    links: tuple[tuple[str, tuple[tuple[str, str, bool], ...]], ...]
    notes: tuple[str, ...]
    neuronpedia: str

    @property
    def title(self) -> str:
        """Method, task, setting and country."""
        asked = f"{label('task', self.task)}, {label('setting', self.setting)}".lower()
        return f"{label('country', self.country)}: {label('method', self.method)}, {asked}"


def file_name(method: str, task: str, setting: str) -> str:
    """Name of a vector's page in its country's folder."""
    return f"{method}-{task}-{setting}.html"


def folder_name(language: str, country: str) -> str:
    """Folder of a country's pages."""
    return f"{language}-{country}"


def vector_page(made: VectorPage) -> str:
    """The page as HTML."""
    code, direction = writing(label("language", made.language.capitalize()))
    largest = max((abs(card.effect) for card in made.cards), default=1.0)
    body = render(
        _BODY,
        page=made,
        code=code,
        direction=direction,
        largest=largest,
        number=number,
        percent=percent,
        address=lambda feature: f"{NEURONPEDIA}/{made.neuronpedia}/{feature}" if made.neuronpedia else "",
        index=f"../{INDEX}#{made.task}-{made.setting}",
    )
    caption = "What this steering vector does, in features of the autoencoder."
    return page(made.title, caption, made.notes, body, style=PAGE_STYLE)


def number(value: float, places: int = 2, sign: bool = False) -> str:
    """A number with a real minus sign; a dash where there is none."""
    if value != value:
        return DASH
    return f"{value:{'+' if sign else '-'}.{places}f}".replace("-", MINUS)


def percent(value: float) -> str:
    """A share of tokens; 0 only where there is none."""
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{100 * value:.1f}%" if value < 0.1 else f"{100 * value:.0f}%"


PAGE_STYLE = """\
nav.pages { display: grid; gap: .15rem; margin: .6rem 0 1rem; }
nav.pages div { line-height: 1.7; }
nav.pages span { color: var(--soft); margin-right: .5rem; }
nav.pages b { margin-right: 1rem; white-space: nowrap; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .5rem 1.2rem; margin: 0 0 1rem; }
dl.facts dt { font-size: .78rem; color: var(--soft); }
dl.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
table.features td.words, table.shared td.words { text-align: left; white-space: normal; min-width: 16rem; }
table.beside { width: auto; }
td.bar { min-width: 7rem; text-align: left; }
.bar i { display: inline-block; height: .6rem; background: #0072b2; vertical-align: baseline; border-radius: 1px; }
.bar i.less { background: #d55e00; }
.words bdi { background: var(--fill); border: 1px solid var(--line); border-radius: 3px; padding: 0 .25rem;
  margin: 0 .15rem .15rem 0; display: inline-block; font-size: .86rem; }
.words.down bdi { color: var(--soft); }
section.feature { border-top: 1px solid var(--ink); padding-top: .4rem; margin-top: 1.4rem; }
section.feature h3 { font-size: 1rem; margin: 0 0 .2rem; }
section.feature h3 small { display: inline; font-size: .82rem; margin-left: .5rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .3rem 1.6rem; }
.two h4 { font-size: .82rem; color: var(--soft); font-weight: 600; margin: .4rem 0 .1rem; }
ol.examples { list-style: none; margin: 0; padding: 0; }
ol.examples li { display: grid; grid-template-columns: 3rem 1fr; gap: .5rem; border-bottom: 1px solid var(--line);
  padding: .15rem 0; }
ol.examples .at { font-variant-numeric: tabular-nums; color: var(--soft); font-size: .82rem; text-align: right; }
ol.examples p { margin: 0; overflow-wrap: anywhere; }
ol.examples small { direction: ltr; }
mark { background: #ffe08a; color: inherit; }
:lang(ar) { font-family: "Noto Naskh Arabic", "Noto Sans Arabic", "Geeza Pro", "Segoe UI", sans-serif; }
:lang(hi) { font-family: "Noto Sans Devanagari", "Kohinoor Devanagari", "Nirmala UI", sans-serif; }
@media (max-width: 40rem) { .features .bar { display: none; } }
img { max-width: 100%; height: auto; }
@media print { nav.pages { display: none; } section.feature { break-inside: avoid; } }
"""

WORDS = """\
{%- macro words(tokens, down=false) -%}
<span class="words{{ ' down' if down }}">{% for token in tokens %}<bdi>{{ token }}</bdi>{% endfor %}</span>
{%- endmacro %}
"""

_BODY = (
    WORDS
    + """\
{%- macro examples(items) -%}
{%- if items -%}
<ol class="examples">
{%- for item in items %}
<li><span class="at">{{ number(item.activation) }}</span><p lang="{{ code }}" dir="{{ direction }}">
{{- item.window.before }}<mark>{{ item.window.token }}</mark>{{ item.window.after -}}
<small lang="en">{{ item.topic|replace('_', ' ') }}</small></p></li>
{%- endfor %}
</ol>
{%- else -%}
<p><small>It does not fire on these texts.</small></p>
{%- endif -%}
{%- endmacro %}
<nav class="pages"><div><a href="{{ index|local }}">All countries</a></div>
{%- for heading, group in page.links %}
<div><span>{{ heading }}</span>
{%- for address, text, here in group %} {% if here %}<b>{{ text }}</b>
{%- else %}<a href="{{ address|local }}">{{ text }}</a>{% endif %}
{%- endfor %}</div>
{%- endfor %}
</nav>
<dl class="facts">
{%- for name, value in page.facts %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{%- endfor %}
</dl>
<p>As a whole it pushes towards {{ words(page.words.promoted) }} and away from {{ words(page.words.suppressed, true) }}</p>
<h2>Strongest features</h2>
<div class="wide" tabindex="0">
<table class="features">
<thead><tr><th class="head" scope="col">Feature</th><th scope="col">Effect</th><th class="bar" scope="col"></th>
{%- set sparse = page.cards and page.cards[0].weight is not none -%}
{%- if sparse %}<th scope="col">λ × weight</th><th scope="col">× activation</th>{% endif -%}
<th scope="col">Cosine</th><th scope="col">Fires on</th><th scope="col">Steered</th>
<th class="head" scope="col">Writes</th></tr></thead>
<tbody>
{%- for card in page.cards %}
{%- set width = '%.1f' % (6 * (card.effect|abs) / largest) %}
<tr><th scope="row"><a href="#f{{ card.number }}">{{ card.number }}</a></th>
<td>{{ number(card.effect, 3, true) }}<small>{{ percent(card.share) }} of all</small></td>
<td class="bar"><i{% if card.effect < 0 %} class="less"{% endif %} style="width: {{ width }}rem"></i></td>
{%- if sparse %}
<td>{{ number(card.weight, 3, true) }}</td><td>{{ number(card.weight * card.activation, 3, true) }}</td>
{%- endif %}
<td>{{ number(card.cosine, 2, true) }}</td><td>{{ percent(card.fires) }}</td><td>{{ percent(card.fires_during) }}</td>
<td class="words">{{ words(card.words.promoted[:5]) }}</td></tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- if page.weighed %}
<h2>Strongest by weight × activation</h2>
<div class="wide" tabindex="0">
<table class="features">
<thead><tr><th class="head" scope="col">Feature</th><th scope="col">λ × weight × activation</th><th scope="col">λ × weight</th>
<th scope="col">Activation</th><th scope="col">Effect</th><th scope="col">Place by effect</th>
<th class="head" scope="col">Writes</th></tr></thead>
<tbody>
{%- for item in page.weighed %}
<tr><th scope="row">{{ item.number }}</th><td>{{ number(item.weight * item.activation, 3, true) }}</td>
<td>{{ number(item.weight, 3, true) }}</td><td>{{ number(item.activation, 3) }}</td>
<td>{{ number(item.effect, 3, true) }}</td><td>{{ item.place }}</td>
<td class="words">{{ words(item.words.promoted[:5]) }}</td></tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- elif page.cards and not sparse %}
<p>There is no list by weight × activation: a dense vector has no weights on features.</p>
{%- endif %}
{%- if page.beside %}
<h2>Beside the other methods</h2>
<div class="wide" tabindex="0">
<table class="beside">
<thead><tr><th class="head" scope="col">Method</th><th scope="col">Cosine of displacements</th>
<th scope="col">Shared strongest features</th><th scope="col">By chance</th></tr></thead>
<tbody>
{%- for other in page.beside %}
<tr><th scope="row">{{ other.method }}</th><td>{{ number(other.cosine, 2, true) }}</td>
<td>{{ other.shared }} of {{ other.of }}</td><td>{{ number(other.expected, 1) }}</td></tr>
{%- endfor %}
</tbody>
</table>
</div>
{%- endif %}
<h2>Where they fire</h2>
{%- for card in page.cards %}
<section class="feature" id="f{{ card.number }}">
<h3>Feature {{ card.number }}<small>effect {{ number(card.effect, 3, true) }}
{%- if address(card.number) %} · <a href="{{ address(card.number) }}">Neuronpedia</a>{% endif %}</small></h3>
<div>Writes {{ words(card.words.promoted) }} not {{ words(card.words.suppressed, true) }}</div>
<small>
{%- for name, value, control in card.kept %}
{{- name }} kept {{ number(value) }} (control {{ number(control) }}){{ '; ' if not loop.last }}
{%- endfor %}</small>
<div class="two">
<div><h4>Before steering</h4>{{ examples(card.before) }}</div>
<div><h4>During steering</h4>{{ examples(card.during) }}</div>
</div>
</section>
{%- endfor %}
"""
)
