"""Judged conversations under every method, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from yapo.errors import YapoError
from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.names import EVERY
from yapo.reporting.cells import records
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import bounds, change_cell, failed, number, number_cell, percent, plural
from yapo.reporting.render import DAGGER, Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.means import Records, by_key

CHAT = "dspa_study_chat"
KEYS = ["kind", "turn", "method"]
DIFFERENCE = bounds("diff")


def chat_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return grades by turn and win rates (in percent), of each country and over all (``country`` is "all").

    Args:
        rows: rows of the stage ``dspa_chat``, of all countries.
        options: resamples, confidence and seed.

    Returns:
        ``country, kind, turn, method``, then ``value, low, high``; of grades the paired difference from the unsteered model
        ``diff, diff_low, diff_high``, over turns that have both grades; ``n`` (scored), ``unscored`` and ``not_asked`` (shares),
        ``tokens`` and ``base_tokens`` (means); and of pairs ``changed`` (share of answers that differ from the unsteered one),
        ``agree`` and ``first`` (shares of those), ``differ`` (how many were asked and differ) and ``lost`` (of those without a
        score). ``turn`` is 0 for the mean over a conversation's turns, of those that are graded.
    """
    if rows.empty:
        raise YapoError("no judged conversations; name countries of this experiment in studies.dspa_study.countries")
    differ = (rows["kind"] == "pair") & rows["asked"] & (rows["completion"] != rows["base_completion"])
    rows = rows.assign(above=_above_unsteered(rows), differ=differ, lost=differ & rows["score"].isna())
    both = rows[rows["kind"] == "grade"].assign(turn=0)
    rows = pd.concat([rows, both], ignore_index=True)
    rows = rows.assign(score=rows["score"].where(rows["kind"] == "grade", 100.0 * rows["score"]))
    cells = _intervals(_rates(rows, options), options)
    cells[list(DIFFERENCE)] = _intervals(_means(rows, rows["above"], options), options)
    counted = pd.concat([rows, rows.assign(country=EVERY)]).groupby([*KEYS, "country"])
    cells = cells.join(counted.agg(n=("score", "count"), tokens=("tokens", "mean"), base_tokens=("base_tokens", "mean")))
    cells[["differ", "lost"]] = counted[["differ", "lost"]].sum()
    cells["not_asked"] = 1.0 - counted["asked"].mean()
    cells["unscored"] = 1.0 - counted["parsed"].mean() - cells["not_asked"]
    cells["changed"] = counted[["completion", "base_completion"]].apply(_changed)
    cells["agree"], cells["first"] = counted["agree"].mean(), counted["first"].mean()
    return cells.reset_index()[["country", *KEYS, *cells.columns]]


def _above_unsteered(rows: pd.DataFrame) -> pd.Series:
    """Return each grade less the unsteered model's of the same question and turn; missing where either is."""
    place, grades = ["country", "turn", "question_id"], rows["kind"] == "grade"
    base = rows[grades & (rows["method"] == "baseline")].set_index(place)["score"]
    above: pd.Series = rows["score"] - base.reindex(pd.MultiIndex.from_frame(rows[place])).to_numpy()
    return above.where(grades)


def _means(rows: pd.DataFrame, scores: pd.Series, options: TableOptions) -> pd.DataFrame:
    """Return resampled means of ``scores`` by country, over the same draws whichever scores they are."""
    return resampled_means(rows.assign(score=scores), [*KEYS, "country"], resamples=options.resamples, seed=options.seed)


def _rates(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return means of the scores. Where answers that differ went unscored, those that differ and have a score stand for them.

    Equal answers are ties without a judge, so their score is never missing: a plain mean would be drawn to 50% by every
    judgement that is. So the rate is 50·(1 - d) + d·w, d the share of pairs that differ and w the rate over the scored ones.
    """
    plain = _means(rows, rows["score"], options)
    lost = pd.MultiIndex.from_frame(rows.loc[rows["lost"], [*KEYS, "country"]].drop_duplicates())
    if lost.empty:
        return plain
    pairs = (rows["kind"] == "pair") & rows["asked"]
    d = _means(rows, rows["differ"].astype(float).where(pairs), options).to_numpy()
    w = _means(rows, rows["score"].where(rows["differ"]), options).to_numpy()
    fair = 50.0 * (1.0 - d) + np.where(d > 0, d * w, 0.0)
    fair[~np.isfinite(w[:, 1:]).any(axis=1), 1:] = np.nan  # fewer than two questions say nothing about spread
    return pd.DataFrame(np.where(plain.index.isin(lost)[:, None], fair, plain.to_numpy()), plain.index)


def _intervals(draws: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Return the intervals of each country and of the mean over all."""
    over = pd.concat({EVERY: mean_over(draws, "country", [])}, names=["country"]).reorder_levels([*KEYS, "country"])
    return intervals(pd.concat([draws, over]), options.confidence)


def _changed(group: pd.DataFrame) -> float:
    return float((group["completion"] != group["base_completion"]).mean())


def chat_table(cells: pd.DataFrame, options: TableOptions) -> Table:
    """Return grades by turn, win rates and their shares: one group for all countries and one for each."""
    names = [country for country in ordered("country", cells["country"]) if country != EVERY]
    groups = []
    for country in [EVERY, *names] if len(names) > 1 else names:
        of_country = cells[cells["country"] == country]
        found = by_key(of_country, KEYS)
        lines = tuple(TableRow((label("method", m),), _chat_row(found, m)) for m in ordered("method", of_country["method"]))
        heading = (
            f"Mean over {plural(len(names), 'country')}" if country == EVERY else f"Steered towards {label('country', country)}"
        )
        groups.append(Group(heading, lines))
    grades, pairs = cells[cells["kind"] == "grade"], cells[cells["kind"] == "pair"]
    worst = max(records(pairs), key=lambda pair: pair["lost"] / max(pair["differ"], 1))
    sheet = Sheet(
        name=CHAT,
        title="Judged conversations",
        caption=(
            "Grades from 1 to 10 of conversations (in the format of MT-Bench), and how often an answer to an instruction (in the "
            f"format of AlpacaEval) wins against the unsteered model's; scorer: {options.scorer}. "
            "Vectors and λ: chosen on validation for their own country's questions, not for these."
        ),
        notes=(
            "Each pair of answers is judged in both orders; a tie counts half, equal answers are ties that no judge sees. "
            "Orders agree: share of the judged pairs with one verdict in both orders. First preferred: share of verdicts for the "
            "answer that stands first; 50% is no bias.",
            f"Brackets: {options.brackets('questions')}. "
            f"Scored: {int(grades['n'].max())} turns and {int(pairs['n'].max())} pairs at most per line.",
            "Difference: from the unsteered model's grades of the same turns.",
            f"Unscored for want of a readable judgement or a reference: up to {percent(cells['unscored'].max(), 1)}; of pairs "
            f"whose answers differ, up to {worst['lost']} of {worst['differ']}, for which those that have a score stand. "
            f"Not asked, since the prompt is over model.max_prompt_tokens: up to {percent(cells['not_asked'].max(), 1)}.",
            f"{DAGGER} Some of the cell have no score.",
            "Questions and prompts for the judge are this project's own; the numbers compare with no published ones.",
        ),
        heads=("Method",),
        columns=(
            "Both turns", "Difference", "First turn", "Second turn", "Tokens of a turn", "Win rate (%)", "Answers changed (%)",
            "Orders agree (%)", "First preferred (%)", "Tokens (unsteered)",
        ),
        groups=tuple(groups),
    )  # fmt: skip
    return make_table(sheet, cells, options.note)


def _chat_row(found: Records, method: str) -> tuple[Cell | None, ...]:
    both, *turns = (_judged(found.get(("grade", turn, method)), 2) for turn in (0, 1, 2))
    said, pair = found.get(("grade", 0, method)), found.get(("pair", 1, method))
    tokens = None if said is None else Cell(number(said["tokens"], 1))
    compared = said is not None and method != "baseline" and np.isfinite(said["diff"])
    diff = change_cell(said, names=DIFFERENCE) if compared else None
    grades = (both, diff, *turns)
    if pair is None:
        return (*grades, tokens, *[None] * 5)
    shares = [Cell(number(100 * pair[name], 1)) if np.isfinite(pair[name]) else None for name in ("changed", "agree", "first")]
    lengths = Cell(f"{number(pair['tokens'], 1)} ({number(pair['base_tokens'], 1)})")
    return (*grades, tokens, _judged(pair, 1), *shares, lengths)


def _judged(record: dict[str, Any] | None, digits: int) -> Cell | None:
    if record is None:
        return None
    if not np.isfinite(record["value"]):
        return Cell("not scored")
    return number_cell(record, digits, failures=failed(record["unscored"] + record["not_asked"], "without a score"))
