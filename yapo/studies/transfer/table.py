"""The numbers, the tables and the finding of transfer between countries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from yapo.checks import TASKS, VARIANTS, Task, Variant, one_of
from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import number_cell, score_digits
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.means import Records, by_key

NAME = "transfer"
PAIRS = "transfer_pairs"
RELATIONS = ("own", "left out", "same language", "other languages")
# Shares of given answers, over the items on which the two countries' answers differ: "adopted" is the source's, "kept" the asked
# country's, "lead" the first minus the second; "before" is the unsteered model.
SHARES = ("adopted", "kept", "lead", "adopted_before", "kept_before")
MEASURES = ("score", "change", *SHARES)
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
    """Return means and intervals from the rows of the stage ``transfer``, of all countries."""
    if rows.empty:
        raise YapoError("no rows of the transfer study; name countries of this experiment in studies.transfer.countries")
    rows, pairs, languages = _with_shares(rows), [], []
    for key, part in rows.groupby(["task", "variant"], sort=False):
        task, variant = one_of("task", key[0], TASKS), one_of("variant", key[1], VARIANTS)
        for measure in MEASURES:
            unit = 1.0 if measure in ("score", "change") and task != "mcq" else 100.0
            long = part[[*_PAIR, "question_id"]].assign(score=unit * part[measure].astype(float)).dropna(subset="score")
            if long.empty:
                continue
            place = {"task": task, "variant": variant, "measure": measure}
            draws = resampled_means(long, _PAIR, resamples=options.resamples, seed=options.seed)
            counts = long.groupby(_PAIR, sort=False).agg(n=("score", "size"), n_facts=("question_id", "nunique"))
            ends = _span(task, measure)
            pairs.append(_intervals(draws, counts, options, ends).assign(**place))
            by_country = draws.groupby(level=_PAIR[:-1], sort=False).mean()
            for keys in (["language", "method", "relation"], ["method", "relation"]):
                counted = long.assign(pair=long["source"] + ">" + long["country"]).groupby(keys, sort=False)
                sizes = counted.agg(n=("score", "size"), n_facts=("question_id", "nunique"), pairs=("pair", "nunique"))
                cells = _intervals(by_country.groupby(level=keys, sort=False).mean(), sizes, options, ends).assign(**place)
                languages.append(cells if "language" in keys else cells.assign(language=OVERALL))
    heads = ["task", "variant", "language", "method", "relation"]
    order = [*heads, "measure", "value", "low", "high", "n", "n_facts"]
    return TransferCells(
        pd.concat(pairs, ignore_index=True)[[*order[:5], "source", "country", *order[5:]]],
        pd.concat(languages, ignore_index=True)[[*order, "pairs"]],
    )


def _with_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the ``SHARES`` that the stage leaves to be made; NaN where it has ``adopted`` as NaN: all are of the same items."""
    item = ["task", "country", "variant", "question_id", "phrasing"]
    before = rows[rows["method"] == "baseline"].set_index(item)["exact"].astype(float)
    told = rows["adopted"].notna()
    kept = rows["exact"].astype(float).where(told)
    kept_before = pd.Series(before.reindex(pd.MultiIndex.from_frame(rows[item])).to_numpy(), rows.index).where(told)
    return rows.assign(kept=kept, lead=rows["adopted"] - kept, kept_before=kept_before)


def _span(task: Task, measure: str) -> tuple[float, float] | None:
    """Return the lowest and highest value of a measure; None for changes, which are alike also where nothing is at an end."""
    if measure in ("change", "lead"):
        return None
    return 0.0, 10.0 if measure == "score" and task != "mcq" else 100.0


def _intervals(
    draws: pd.DataFrame, counts: pd.DataFrame, options: TableOptions, ends: tuple[float, float] | None
) -> pd.DataFrame:
    facts = counts["n_facts"].reindex(draws.index)
    return intervals(draws, options.confidence, facts=facts, span=ends).join(counts).reset_index()


def transfer_table(cells: TransferCells, options: TableOptions) -> Table:
    """Return the table of own, zero-shot, siblings' and foreign vectors, by language and method."""
    data = cells.languages
    at = by_key(data, ["task", "variant", "language", "method", "relation", "measure"])
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
            "asked, and of the country that the vector is from, on the same questions: those on which the two differ (and, in "
            "multiple choice, the latter's is an option). Baseline row: the unsteered model on these questions.",
            f"Brackets: {options.brackets()}; changes are "
            "taken on the same questions. Other languages are tried on a sample of the test facts.",
        ),
        heads=("Language", "Method"),
        columns=(
            "Score", *(f"Change: {relation}" for relation in RELATIONS), "Says own (%)", "Says source's (%)",
            "n own [left out / same / other]",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, data, options.note)


def _line(at: Records, group: tuple[Task, Variant, str], method: str) -> TableRow:
    task, _, language = group
    digits = score_digits(task)
    relation = {"baseline": "none", "prompt": "prompt"}.get(method, "own")
    score = at.get((*group, method, relation, "score"))
    changes = [at.get((*group, method, name, "change")) for name in RELATIONS]
    unsteered = [
        next((record for key, record in at.items() if key[:3] == group and key[5] == measure), None)  # the same for every method
        for measure in ("kept_before", "adopted_before")
    ]
    by_relation: dict[str, list[dict[str, Any] | None]] = {
        "none": unsteered,
        "prompt": [None, None],
        "own": [at.get((*group, method, "same language", measure)) for measure in ("kept", "adopted")],
    }
    counted = changes if relation == "own" else [score]
    n, *others = ("–" if record is None else f"{record['n']:,}" for record in counted)
    cells = (
        _cell(score, digits),
        *(_cell(record, digits, sign=True) for record in changes),
        *(_cell(record, 1) for record in by_relation[relation]),
        Cell(n, f"[{' / '.join(others)}]" if others else ""),
    )
    return TableRow((label("language", language), label("method", method)), cells, aggregate=language == OVERALL)


def _cell(record: dict[str, Any] | None, digits: int, *, sign: bool = False) -> Cell | None:
    if record is None:
        return None
    detail = f"n = {record['n']:,} answers, {record['n_facts']} facts, {record['pairs']} pairs of countries"
    return number_cell(record, digits, sign=sign, detail=detail)


def transfer_pairs_table(cells: TransferCells, options: TableOptions) -> Table:
    """Return the table of changes of every country's score by every country's vector: the numbers of the matrices."""
    data = cells.pairs[cells.pairs["source"] != ""]
    shown = data[data["measure"] == "change"]
    asked = ordered("country", shown["country"])
    at = by_key(shown, ["task", "variant", "method", "source", "country"])
    groups = []
    for task in ordered("task", shown["task"]):
        for variant in ordered("variant", shown["variant"]):
            here = shown[(shown["task"] == task) & (shown["variant"] == variant)]
            lines = []
            for method in ordered("method", here["method"]):
                for source in ordered("country", here.loc[here["method"] == method, "source"]):
                    found = [at.get((task, variant, method, source, country)) for country in asked]
                    heads = (label("method", method), label("country", source))
                    lines.append(TableRow(heads, tuple(_pair(record, score_digits(task)) for record in found)))
            groups.append(Group(f"{label('task', task)}, {label('variant', variant).lower()} questions", tuple(lines)))
    sheet = Sheet(
        name=PAIRS,
        title="Transfer, every pair of countries",
        caption=(
            "Change of the score from the unsteered model on the test questions of a country (columns) by the vector of a "
            "country (rows): points of accuracy in multiple choice, points of 10 in open-ended answers (scorer: "
            f"{options.scorer})."
        ),
        notes=(
            f"Brackets: {options.brackets()}; n: answers. "
            "Countries of another language are asked on a sample of the facts. The csv file also has the scores, and whose "
            "answers were given.",
        ),
        heads=("Method", "Vector of"),
        columns=tuple(label("country", country) for country in asked),
        groups=tuple(groups),
    )
    return make_table(sheet, data, options.note)


def _pair(record: dict[str, Any] | None, digits: int) -> Cell | None:
    printed = number_cell(record, digits, sign=True)
    if record is None or printed is None:
        return None
    interval = f"{printed.interval} n = {record['n']:,}".strip()
    return Cell(printed.value, interval, detail=f"{record['n_facts']} facts, {record['relation']}")


def finding_values(cells: TransferCells) -> dict[str, Any]:
    """Return the numbers of ``finding.md.j2``: on non-localized questions, mean over all countries, by task."""
    data = cells.languages
    data = data[(data["language"] == OVERALL) & (data["variant"] == "nonlocalized")]
    at = by_key(data, ["task", "method", "relation", "measure"])
    tasks = []
    for task in ordered("task", data["task"]):
        methods = [method for method in ordered("method", data["method"]) if (task, method, "own", "change") in at]
        changes = [(method, [at.get((task, method, relation, "change")) for relation in RELATIONS]) for method in methods]
        shares = [
            {"method": method, **{name: at[task, method, "same language", name] for name in SHARES}}
            for method in methods
            if (task, method, "same language", "lead") in at
        ]
        tasks.append(
            {
                "name": task,
                "digits": score_digits(task),
                "unsteered": at[task, "baseline", "none", "score"]["value"],
                "changes": changes,
                "counts": [next(filter(None, column), None) for column in zip(*(row for _, row in changes), strict=True)],
                "shares": shares,
            }
        )
    return {"tasks": tasks, "relations": RELATIONS, "countries": cells.pairs["country"].nunique()}
