"""Vectors of one country on the questions of others: the numbers and the table. Figures: ``transfer_figures``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, TableOptions, make_table

NAME = "transfer"
RELATIONS = ("own", "left out", "same language", "other languages")
MEASURES = ("score", "change", "exact", "adopted", "adopted_before")
OVERALL = "Overall"
_PAIR = ["language", "country", "method", "relation", "source"]


@dataclass(frozen=True)
class TransferCells:
    """Tidy numbers with intervals: ``measure`` (``MEASURES``), ``value, low, high, n, n_facts``.

    Multiple-choice scores and changes, and all shares, are in percent.

    Attributes:
        pairs: by ``task, variant`` and method, source country and asked country, with what the one is to the other.
        languages: by ``task, variant``, language of the asked country ("Overall": all countries, each counted once), method
            and relation: mean over sources, then over countries; ``pairs`` says of how many.
    """

    pairs: pd.DataFrame
    languages: pd.DataFrame


def transfer_cells(rows: pd.DataFrame, options: TableOptions) -> TransferCells:
    """Means and intervals.

    Args:
        rows: rows of the stage ``transfer``, of all countries.
        options: resamples, confidence and seed.
    """
    if rows.empty:
        raise YapoError("no rows of the transfer study; name countries of this experiment in studies.transfer.countries")
    pairs, languages = [], []
    for (task, variant), part in rows.groupby(["task", "variant"], sort=False):
        for measure in MEASURES:
            percent = 1.0 if measure in ("score", "change") and task != "mcq" else 100.0
            long = part[[*_PAIR, "question_id"]].assign(score=percent * part[measure].astype(float)).dropna(subset="score")
            if long.empty:
                continue
            place = {"task": str(task), "variant": str(variant), "measure": measure}
            draws = resampled_means(long, _PAIR, resamples=options.resamples, seed=options.seed)
            counts = long.groupby(_PAIR, sort=False).agg(n=("score", "size"), n_facts=("question_id", "nunique"))
            pairs.append(_told(draws, counts, options).assign(**place))
            by_country = draws.groupby(level=_PAIR[:-1], sort=False).mean()
            for keys in (["language", "method", "relation"], ["method", "relation"]):
                counted = long.assign(pair=long["source"] + ">" + long["country"]).groupby(keys, sort=False)
                sizes = counted.agg(n=("score", "size"), n_facts=("question_id", "nunique"), pairs=("pair", "nunique"))
                cells = _told(by_country.groupby(level=keys, sort=False).mean(), sizes, options).assign(**place)
                languages.append(cells if "language" in keys else cells.assign(language=OVERALL))
    heads = ["task", "variant", "language", "method", "relation"]
    order = [*heads, "measure", "value", "low", "high", "n", "n_facts"]
    return TransferCells(
        pd.concat(pairs, ignore_index=True)[[*order[:5], "source", "country", *order[5:]]],
        pd.concat(languages, ignore_index=True)[[*order, "pairs"]],
    )


def _told(draws: pd.DataFrame, counts: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    return intervals(draws, options.confidence).join(counts).reset_index()


def transfer_table(cells: TransferCells, options: TableOptions) -> Table:
    """Own vector, zero-shot vector, siblings' and foreign vectors, by language and method."""
    data = cells.languages
    at = {
        tuple(cell[name] for name in ("task", "variant", "language", "method", "relation", "measure")): cell
        for cell in records(data)
    }
    groups = []
    for task in ordered("task", data["task"]):
        for variant in ordered("variant", data["variant"]):
            here = data[(data["task"] == task) & (data["variant"] == variant)]
            lines = [
                _line(at, (task, variant, language), method)
                for language in ordered("language", here["language"])
                for method in ordered("method", here.loc[here["language"] == language, "method"])
            ]
            groups.append(Group(f"{label('task', task)}, {label('variant', variant).lower()} questions", tuple(lines)))
    sheet = Sheet(
        name=NAME,
        title="Transfer between countries",
        caption=(
            "What vectors of other countries do to the test questions of a country: score (multiple choice: accuracy in %; "
            f"open-ended: 0 to 10; scorer: {options.scorer}) with the country's own vector, and the change from the unsteered "
            "model by each kind of vector. Mean over the countries of a language."
        ),
        notes=(
            "Own: the country's vector. Left out: one vector of all other countries of the language, whose epoch and λ were "
            "chosen on their questions (zero-shot; with two countries it is the other one's). Same language, other languages: "
            "mean over single vectors of those countries, as chosen on their own validation questions.",
            "Says own, says source's: under vectors of the same language, share of answers that are exactly those of the country "
            "asked, and of the country that the vector is from. Baseline row: the same shares of the unsteered model.",
            f"Brackets: {100 * options.confidence:g}% bootstrap interval, {options.resamples:,} resamples of facts; changes are "
            "taken on the same questions. Other languages are tried on a sample of the test facts.",
            *([options.note] if options.note else []),
        ),
        heads=("Language", "Method"),
        columns=(
            "Score", *(f"Change: {relation}" for relation in RELATIONS), "Says own (%)", "Says source's (%)",
            "n own [left out / same / other]",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, data)


Records = dict[tuple[Any, ...], dict[str, Any]]


def _line(at: Records, place: tuple[str, str, str], method: str) -> Row:
    task, _, language = place
    digits = 1 if task == "mcq" else 2
    relation = {"baseline": "none", "prompt": "prompt"}.get(method, "own")
    score = at.get((*place, method, relation, "score"))
    changes = [at.get((*place, method, name, "change")) for name in RELATIONS]
    before = next((cell for key, cell in at.items() if key[:3] == place and key[5] == "adopted_before"), None)
    by_relation: dict[str, list[dict[str, Any] | None]] = {
        "none": [at.get((*place, method, relation, "exact")), before],
        "prompt": [None, None],
        "own": [at.get((*place, method, "same language", measure)) for measure in ("exact", "adopted")],
    }
    counted = changes if relation == "own" else [score]
    n, *others = ("–" if cell is None else f"{cell['n']:,}" for cell in counted)
    cells = (
        _cell(score, digits),
        *(_cell(cell, digits, "+") for cell in changes),
        *(_cell(cell, 1) for cell in by_relation[relation]),
        Cell(n, f"[{' / '.join(others)}]" if others else ""),
    )
    return Row((label("language", language), label("method", method)), cells, aggregate=language == OVERALL)


def _cell(cell: dict[str, Any] | None, digits: int, sign: str = "-") -> Cell | None:
    if cell is None:
        return None
    value, low, high = (f"{cell[name]:{sign}.{digits}f}".replace("-", MINUS) for name in ("value", "low", "high"))
    spread = f"[{low}, {high}]" if cell["low"] == cell["low"] else ""
    return Cell(value, spread, detail=f"n = {cell['n']:,} answers, {cell['n_facts']} facts, {cell['pairs']} pairs of countries")
