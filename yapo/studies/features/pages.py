"""Web pages of the study: one for each steering vector, and an index of them with the features that countries share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from yapo.checks import SETTINGS, TASKS, Setting, Task, one_of
from yapo.models.token_text import Window
from yapo.names import folder_of
from yapo.reporting.cells import records
from yapo.reporting.html import page, render
from yapo.reporting.names import label, ordered, writing
from yapo.reporting.numbers import change, number
from yapo.studies.features import STUDY
from yapo.studies.features.cells import shared_features
from yapo.studies.features.table import EFFECT_NOTE

NEURONPEDIA = "https://www.neuronpedia.org"
INDEX = "index.html"
SHARED_PER_METHOD = 8
FOLDER = Path(__file__).parent
STYLE = FOLDER / "pages.css"


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
    """One feature of a vector.

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
class WeightedFeature:
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
class MethodComparison:
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
    task: Task
    setting: Setting
    facts: tuple[tuple[str, str], ...]
    words: Words
    cards: tuple[FeatureCard, ...]
    weighed: tuple[WeightedFeature, ...]
    beside: tuple[MethodComparison, ...]
    links: tuple[tuple[str, tuple[tuple[str, str, bool], ...]], ...]
    notes: tuple[str, ...]
    neuronpedia: str

    @property
    def title(self) -> str:
        """Method, task, setting and country."""
        asked = f"{label('task', self.task)}, {label('setting', self.setting)}".lower()
        return f"{label('country', self.country)}: {label('method', self.method)}, {asked}"


def file_name(method: str, task: Task, setting: Setting) -> str:
    """Return the name of a vector's page in its country's folder."""
    return f"{method}-{task}-{setting}.html"


def folder_name(language_folder: str, country: str) -> str:
    """Return the folder of a country's pages."""
    return f"{language_folder}-{country}"


def vector_page(content: VectorPage) -> str:
    """Return the page as HTML."""
    code, direction = writing(label("language", content.language.capitalize()))
    body = render(
        FOLDER / "vector_page.html.j2",
        page=content,
        code=code,
        direction=direction,
        largest=max((abs(card.effect) for card in content.cards), default=1.0),
        number=number,
        change=change,
        words=word_list,
        percent=token_share,
        address=lambda feature: feature_address(content.neuronpedia, feature),
        index=f"../{INDEX}#{content.task}-{content.setting}",
    )
    caption = "What this steering vector does, in features of the autoencoder."
    return page(content.title, caption, content.notes, body, style=STYLE)


def page_notes(examples: int, note: str, neuronpedia: str) -> tuple[str, ...]:
    """Return the notes under a vector's page."""
    return (
        f"{EFFECT_NOTE} Measured on validation prompts with their right answers, all tokens but the first.",
        "λ × weight and × activation: of sparse vectors, the entry of the vector at its chosen λ, and that times the feature's "
        "mean code before steering, over training and validation texts. Features are listed by effect, which also counts what a "
        "vector switches on where the feature is silent: there weight × activation is 0. Below, the same vector by weight × "
        "activation. Cosine: of the vector's mean change with the decoder row.",
        "Writes: tokens whose logits the decoder row raises most (not: lowers most), through the final norm's weight and the "
        "unembedding; what later blocks make of it is not seen. A dot is a space.",
        f"Examples are the strongest tokens of training and validation texts, one per fact, of {examples} compared the first "
        "ones; numbers beside them are codes. During steering the same texts are read with the vector added, and encoded again.",
        "Kept: share of the examples before steering that find one with the same token (topic) during steering; activation: "
        "share of the activation that stays on the same tokens. Control: the same for another feature that fires about as often.",
        "Links lead to the feature's page on Neuronpedia; whether it is there was not checked."
        if neuronpedia
        else "Neuronpedia has no pages of this autoencoder (none is listed for it by SAELens), so there are no links.",
        *([note] if note else []),
    )


def word_list(tokens: Sequence[str], down: bool = False) -> Markup:
    """Return tokens as HTML, each in a box of its own; ``down`` greys them."""
    boxes = Markup().join(Markup("<bdi>{}</bdi>").format(token) for token in tokens)
    return Markup('<span class="words{}">{}</span>').format(" down" if down else "", boxes)


def token_share(value: float) -> str:
    """Return a share of tokens in percent; 0 only where there is none."""
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{100 * value:.1f}%" if value < 0.1 else f"{100 * value:.0f}%"


def feature_address(neuronpedia: str, feature: int) -> str:
    """Return the address of a feature on Neuronpedia; empty where the autoencoder is not there."""
    return f"{NEURONPEDIA}/{neuronpedia}/{feature}" if neuronpedia else ""


def index_page(tops: pd.DataFrame, neuronpedia: str, figures: Sequence[str], note: str, left_out: str) -> str:
    """Return the page that links every vector's page and lists the features that countries share.

    Args:
        tops: rows of ``features_top`` over all countries, in display order.
        neuronpedia: id of the autoencoder there, or empty.
        figures: names of the study's figures.
        note: sentence under the page.
        left_out: names of the methods that make no vectors, or empty.
    """
    shared = shared_features(tops, SHARED_PER_METHOD)
    sections = []
    for key, part in tops.groupby(["task", "setting"], sort=False):
        task, setting = one_of("task", key[0], TASKS), one_of("setting", key[1], SETTINGS)
        here = shared[(shared["task"] == task) & (shared["setting"] == setting)]
        sections.append(
            {
                "anchor": f"{task}-{setting}",
                "heading": f"{label('task', task)}, {label('setting', setting).lower()}",
                "rows": _links(part, task, setting),
                "shared": {m: _shared(here[here["method"] == m], neuronpedia) for m in ordered("method", part["method"])},
            }
        )
    caption = (
        "What every steering vector does, in features of the autoencoder: a page for each that was trained on "
        f"{' or '.join(label('setting', s).lower() for s in ordered('setting', tops['setting']))} questions "
        "(studies.features.settings). Links name a vector's strongest feature. Below each list: the features that most countries "
        "share."
        + (f" Not here: {left_out}, a map and no vector, so that it has no features of its own to list." if left_out else "")
    )
    body = render(
        FOLDER / "index.html.j2",
        sections=sections,
        figures=[f"../figures/{name}.png" for name in figures],
        change=change,
        label=label,
        words=word_list,
    )
    return page(STUDY.title, caption, (EFFECT_NOTE, *([note] if note else [])), body, style=STYLE)


def _links(rows: pd.DataFrame, task: Task, setting: Setting) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the name of each country with the address and text of the link to each method's page."""
    methods, found = ordered("method", rows["method"]), []
    for (language, country), of_country in rows.groupby(["language", "country"], sort=False):
        folder, first = folder_name(folder_of(str(language)), str(country)), of_country.groupby("method")["feature"].first()
        links = [
            (f"{folder}/{file_name(m, task, setting)}", f"feature {first[m]} …" if m in first else "no effect") for m in methods
        ]
        found.append((f"{label('language', str(language))}: {label('country', str(country))}", links))
    return found


def _shared(rows: pd.DataFrame, neuronpedia: str) -> list[dict[str, object]]:
    return [{**row, "address": feature_address(neuronpedia, row["feature"])} for row in records(rows)]
