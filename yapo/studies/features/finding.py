"""What the features study says, in words made from its numbers, and the page that leads to all of its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from yapo.names import folder_of
from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.tables import Table
from yapo.studies.features.cells import shared_features
from yapo.studies.features.index import IndexSection, SharedFeature, index_page
from yapo.studies.features.pages import NEURONPEDIA, Words, file_name, folder_name
from yapo.studies.features.table import COHERENCE, EFFECT_NOTE, METHODS, NAME, TABLES, counts_of, printed, why_left_out

TITLE = "Vectors in features"
SHARED_PER_METHOD = 8
LIMITS = (
    "Words come from one feature's decoder row and the unembedding alone; what the blocks between make of it is not seen.",
    "During steering means the same texts with the vector added: the tokens that a steered model would write instead are not "
    "among them. A dense vector cannot reorder a feature's examples, so its tokens are kept by construction.",
    "Numbers are of the steered layer and of this autoencoder; another one would cut the same vector differently.",
)


def features_finding(tables: dict[str, Table], settings: Sequence[str], figures: tuple[str, ...]) -> Finding:
    """The study as the report shows it."""
    return Finding(
        name=NAME,
        title=TITLE,
        question="What do steering vectors do in features, how far do countries and methods share them, and do features keep "
        "their meaning?",
        reading=features_reading(tables, settings),
        limits=LIMITS,
        tables=TABLES,
        figures=figures,
        pages=(f"{NAME}/index.html",),
    )


def features_reading(tables: dict[str, Table], settings: Sequence[str]) -> str:
    """Spread, overlap, methods and coherence, task by task, for the vectors that have pages."""
    overlap, methods, coherence = (tables[name].data for name in (NAME, METHODS, COHERENCE))
    parts = []
    for task in ordered("task", overlap["task"]):
        for setting in ordered("setting", settings):
            own = [frame[(frame["task"] == task) & (frame["setting"] == setting)] for frame in (overlap, methods, coherence)]
            parts.append(f"{label('task', task)}, {label('setting', setting).lower()}.")
            parts += [_spread(own[0]), _countries(own[0]), _methods(own[1]), _steered(own[2]), _abroad(own[2])]
    return "\n".join(part for part in parts if part)


def _spread(cells: pd.DataFrame) -> str:
    return f"Effective number of features: {_listed(_by_method(cells, 'effective'), 0)}."


def _countries(cells: pd.DataFrame) -> str:
    """Do countries of one language have closer vectors than others."""
    same, other = _by_method(cells, "cosine_same"), _by_method(cells, "cosine_other")
    both = same.keys() & other.keys()
    if not both:
        return ""
    closer, farther = (sum(_above(a[m], b[m]) for m in both) for a, b in ((same, other), (other, same)))
    return (
        f"Cosine of the vectors of two countries that share a language: {_listed(same)}; that do not: {_listed(other)}. "
        f"By intervals that do not touch, vectors of one language are closer under {closer} and less close under {farther} "
        f"of {len(both)} methods."
    )


def _methods(cells: pd.DataFrame) -> str:
    """BiPO's vector beside YaPO's."""
    pair = {str(row["metric"]): row for row in records(cells[(cells["method"] == "bipo") & (cells["other"] == "yapo")])}
    if not pair:
        return ""
    own, elsewhere, shared, chance = (pair[m] for m in ("cosine", "cosine_elsewhere", "shared", "shared_chance"))
    against = "" if pd.isna(elsewhere["value"]) else f" (another country's: {_ranged(elsewhere)})"
    return (
        f"BiPO's vector and YaPO's for the same country have cosine {_ranged(own)}{against} and share "
        f"{100 * shared['value']:.0f}% of their strongest features ({100 * chance['value']:.1f}% by chance)."
    )


def _steered(cells: pd.DataFrame) -> str:
    """Do the strongest features keep their meaning during steering."""
    tokens, mass, control = (_by_method(cells, name) for name in ("kept_tokens", "kept_mass", "control_mass"))
    before, during = (_by_method(cells, name) for name in ("fires", "fires_during"))
    compared = []
    for method in before:
        counts = counts_of(cells, method)
        why = why_left_out(counts)
        said = f"{label('method', method)} {counts['features_kept']} of {counts['features']}"
        compared.append(said + (f" ({why})" if why else ""))
    if not compared:
        return ""
    rates = ", ".join(f"{label('method', m)} {100 * before[m]['value']:.1f} to {100 * during[m]['value']:.1f}%" for m in before)
    text = (
        f"Tokens on which a strong feature fires, before and during steering: {rates}. Features with examples before and during, "
        f"of all countries' strongest: {', '.join(compared)}."
    )
    if mass:
        most = max(cell["value"] for cell in control.values())
        text += (
            f" Of the examples of these this share keeps its token: {_listed(tokens)}; of their activation this share stays "
            f"where it was: {_listed(mass)} (control at most {printed(most)})."
        )
    return text


def _abroad(cells: pd.DataFrame) -> str:
    """Do features that countries share fire on the same things in both."""
    parts = []
    for metric, what in (("tokens_same", "tokens within a language"), ("topics_other", "topics across languages")):
        own, control = _by_method(cells, metric), _by_method(cells, f"{metric}_control")
        if own:
            above = sum(_above(own[m], control[m]) for m in own)
            parts.append(
                f"{what} {_low_to_high(own)}, above the control ({_low_to_high(control)}) by intervals under {above} of "
                f"{len(own)} methods"
            )
    return f"Agreement of the examples of a feature that the vectors of two countries share: {'; '.join(parts)}." if parts else ""


def _by_method(cells: pd.DataFrame, metric: str) -> dict[str, dict[str, Any]]:
    """Cells of one metric by method, in display order; those without a value are left out."""
    found = {str(row["method"]): row for row in records(cells[(cells["metric"] == metric) & cells["value"].notna()])}
    return {method: found[method] for method in ordered("method", found)}


def _above(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether the interval of a lies above that of b; False where either has none."""
    return bool(a["low"] > b["high"])


def _listed(values: dict[str, dict[str, Any]], places: int = 2) -> str:
    return ", ".join(f"{label('method', method)} {printed(cell['value'], places)}" for method, cell in values.items())


def _low_to_high(values: dict[str, dict[str, Any]]) -> str:
    numbers = sorted(cell["value"] for cell in values.values())
    return f"{printed(numbers[0])} to {printed(numbers[-1])}"


def _ranged(cell: Mapping[str, Any]) -> str:
    value = printed(cell["value"])
    return value if pd.isna(cell["low"]) else f"{value} [{printed(cell['low'])}, {printed(cell['high'])}]"


def features_index(tops: pd.DataFrame, neuronpedia: str, figures: Sequence[str], note: str, left_out: str) -> str:
    """The page ``features/index.html``: links to every vector's page, and the features that countries share.

    Args:
        tops: rows of ``features_top`` over all countries, in display order.
        neuronpedia: id of the autoencoder there, or empty.
        figures: names of the study's figures.
        note: sentence under the page.
        left_out: names of the methods that have no vectors to describe, or empty.
    """
    shared = shared_features(tops, SHARED_PER_METHOD)
    sections = []
    for key, part in tops.groupby(["task", "setting"], sort=False):
        task, setting = map(str, key)
        methods = ordered("method", part["method"])
        rows = []
        for whose, own in part.groupby(["language", "country"], sort=False):
            language, country = map(str, whose)
            folder = folder_name(folder_of(language), country)
            first = own.groupby("method")["feature"].first()
            links = tuple(
                (f"{folder}/{file_name(m, task, setting)}", f"feature {first[m]} …" if m in first else "no effect")
                for m in methods
            )
            rows.append((f"{label('language', language)}: {label('country', country)}", links))
        here = shared[(shared["task"] == task) & (shared["setting"] == setting)]
        by_method = tuple((label("method", m), _shared(here[here["method"] == m], neuronpedia)) for m in methods)
        heading = f"{label('task', task)}, {label('setting', setting).lower()}"
        sections.append(
            IndexSection(f"{task}-{setting}", heading, tuple(label("method", m) for m in methods), tuple(rows), by_method)
        )
    caption = (
        "What every steering vector does, in features of the autoencoder: a page for each that was trained on "
        f"{' or '.join(label('setting', s).lower() for s in ordered('setting', tops['setting']))} questions "
        "(studies.features.settings). Links name a vector's strongest feature. Below each list: the features that most countries "
        "share."
        + (f" Not here: {left_out}, a map and no vector, so that it has no features of its own to list." if left_out else "")
    )
    notes = (EFFECT_NOTE, *([note] if note else []))
    return index_page(TITLE, caption, notes, sections, [f"../figures/{name}.png" for name in figures])


def _shared(rows: pd.DataFrame, neuronpedia: str) -> tuple[SharedFeature, ...]:
    return tuple(
        SharedFeature(
            number=row["feature"],
            address=f"{NEURONPEDIA}/{neuronpedia}/{row['feature']}" if neuronpedia else "",
            countries=tuple(label("country", country) for country in row["countries"]),
            effect=row["effect"],
            words=Words(tuple(row["promoted"]), tuple(row["suppressed"])),
        )
        for row in records(rows)
    )
