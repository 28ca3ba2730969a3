"""General knowledge before and after steering: the numbers, their table, and what they say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import pandas as pd

from yapo.evaluation.bootstrap import intervals, resampled_means
from yapo.evaluation.metrics import mean_over
from yapo.reporting.cells import records
from yapo.reporting.finding import Finding
from yapo.reporting.names import label, ordered
from yapo.reporting.render import MINUS, Cell, Group, Row, Sheet
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.reporting.words import counted

NAME = "knowledge"
LINE = ["questions", "metric", "about"]
KEYS = [*LINE, "method"]
_CHANGE = ("change", "change_low", "change_high")
ABOUT = {"": "", "own": "steered country", "same language": "others of its language", "other languages": "other languages"}
_OWN = {"culture_mcq": "Multiple choice", "culture_open_ended": "Open-ended"}


def knowledge_cells(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    """Tidy numbers: mean score and change of each method over the steered countries, each country counted once.

    Where single answers are known, facts are resampled, the same ones for every country and method, so that a change is
    taken question by question. Where only lm-eval's scores are, intervals are normal ones from its standard errors, as if
    before and after had been asked independently and all countries erred together: wider than they need be.

    Args:
        rows: columns of the stage ``knowledge``, of all steered countries.
        options: how to resample.

    Returns:
        ``KEYS``, value, low, high, change, change_low, change_high (NaN for the baseline), interval ("bootstrap" or
        "lm-eval"), n (answers in a cell), n_questions (different ones), countries; scores in lm-eval's units.
    """
    single = rows["question_id"] != ""
    parts = [make(part, options) for part, make in ((rows[single], _resampled), (rows[~single], _normal)) if len(part)]
    of_cell = rows.groupby(KEYS, sort=False)
    asked = rows.drop_duplicates([*KEYS, "question_id"]).groupby(KEYS, sort=False)
    counts = pd.concat([of_cell["n"].sum(), asked["n"].sum().rename("n_questions")], axis=1)
    cells = pd.concat(parts).join(counts.assign(countries=of_cell["country"].nunique())).reset_index()
    cells.loc[cells["method"] == "baseline", list(_CHANGE)] = math.nan
    for column, order in (("about", list(ABOUT)), ("method", ordered("method", cells["method"]))):
        cells[column] = pd.Categorical(cells[column], order, ordered=True)
    return cells.sort_values(KEYS, ignore_index=True).astype({"about": str, "method": str})


def _resampled(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    scored = rows.rename(columns={"value": "score"})
    by_country = resampled_means(scored, [*KEYS, "country"], resamples=options.resamples, seed=options.seed)
    draws = mean_over(by_country, "country", LINE)
    change = intervals(draws - _baseline(draws), options.confidence).set_axis(_CHANGE, axis=1)
    return pd.concat([intervals(draws, options.confidence), change], axis=1).assign(interval="bootstrap")


def _normal(rows: pd.DataFrame, options: TableOptions) -> pd.DataFrame:
    means = rows.groupby(KEYS, sort=False)[["value", "stderr"]].mean()
    before = _baseline(means)
    change = (means["value"] - before["value"]).rename("change")
    both = (means["stderr"] ** 2 + before["stderr"] ** 2) ** 0.5
    z = NormalDist().inv_cdf((1 + options.confidence) / 2)
    bounds = {"low": means["value"] - z * means["stderr"], "high": means["value"] + z * means["stderr"]}
    return means[["value"]].assign(
        **bounds, change=change, change_low=change - z * both, change_high=change + z * both, interval="lm-eval"
    )


def _baseline(frame: pd.DataFrame) -> pd.DataFrame:
    """The baseline's row of each row's line."""
    return frame.loc[[(*line, "baseline") for *line, _ in frame.index]].set_axis(frame.index)


def knowledge_table(cells: pd.DataFrame, vector: str, options: TableOptions) -> Table:
    """Scores, and changes from the baseline.

    Args:
        cells: what ``knowledge_cells`` returns.
        vector: which vectors steered, in words.
        options: as for the cells.
    """
    methods = ordered("method", cells["method"])
    sheet = Sheet(
        name=NAME,
        title="General knowledge",
        caption=f"What the model knows when steered towards one country ({vector}), mean over {_steered(cells)}.",
        notes=(*_notes(cells, options), *([options.note] if options.note else [])),
        heads=("Questions", "About, or metric"),
        columns=(*(label("method", method) for method in methods), "n"),
        groups=(
            Group("Score", tuple(_rows(cells, methods, ("value", "low", "high"), "-"))),
            Group("Change from the baseline", tuple(_rows(cells, methods, _CHANGE, "+"))),
        ),
    )
    return make_table(sheet, cells)


def _rows(cells: pd.DataFrame, methods: Sequence[str], names: tuple[str, str, str], sign: str) -> Iterator[Row]:
    for (questions, metric, about), part in cells.groupby(LINE, sort=False):
        found = {cell["method"]: cell for cell in records(part)}
        printed = tuple(_cell(found.get(method), names, sign) for method in methods)
        n = Cell(f"{part['n'].max():,} ({part['n_questions'].max():,} {'facts' if about else 'questions'})")
        heads = (_OWN.get(str(questions), str(questions)), ABOUT[str(about)] or str(metric))
        yield Row(heads, (*printed, n))


def _cell(cell: dict[str, Any] | None, names: tuple[str, str, str], sign: str) -> Cell | None:
    if cell is None or math.isnan(cell[names[0]]):
        return None
    value, low, high = (number(cell[name], cell["metric"], sign) for name in names)
    detail = f"n = {cell['n']:,} answers to {cell['n_questions']:,} questions, {counted(cell['countries'], 'steered country')}"
    return Cell(value, "" if math.isnan(cell[names[1]]) else f"[{low}, {high}]", detail=detail)


def _notes(cells: pd.DataFrame, options: TableOptions) -> list[str]:
    level = f"{100 * options.confidence:g}%"
    kinds = set(cells["interval"])
    notes = [
        "n: answers in a cell of the row, one for each question and steered country.",
        "Scores by lm-eval; acc (that of our own questions, too) and exact_match in percent.",
    ]
    if "bootstrap" in kinds:
        notes.append(
            f"Brackets: {level} bootstrap interval, {options.resamples:,} resamples of facts, the same ones before and after; "
            "a change of 0 with bounds of 0: no answer changed its worth."
        )
    if "lm-eval" in kinds:
        scores = cells[cells["interval"] == "lm-eval"].drop_duplicates(LINE)
        names = ", ".join(title(str(q), str(m)) for q, m in scores[["questions", "metric"]].itertuples(index=False))
        notes.append(
            f"{names}: no mean of single answers, so the {level} interval is a normal one from lm-eval's own standard errors, "
            "as if before and after had been asked independently."
        )
    if "random" in set(cells["method"]):
        notes.append("Random: a random direction that moves the residual stream as far as the strongest of the vectors.")
    return notes


def knowledge_finding(cells: pd.DataFrame, vector: str, options: TableOptions) -> Finding:
    """What the table says, line by line: which changes can be told from none."""
    own = (cells["about"] != "").any()
    limits = ["Our own questions have few options and name their country; a baseline near 100 % can only fall."]
    level = f"{100 * options.confidence:g}%"
    return Finding(
        name=NAME,
        title="General knowledge",
        question="What does a vector that pulls towards one country do to the rest of what the model knows?",
        reading="\n".join(
            [
                f"Mean over {_steered(cells)} ({vector}).",
                *(_sentence(p) for _, p in cells.groupby(LINE, sort=False)),
            ]
        ),
        limits=(
            f"Intervals ({level}) are over questions: other countries, vectors or seeds would add spread. "
            "Many comparisons are made at once; some intervals miss 0 by chance.",
            *(limits if own else []),
            *([options.note] if options.note else []),
        ),
        tables=(NAME,),
        figures=(NAME,),
    )


def _sentence(line: pd.DataFrame) -> str:
    before, *steered = records(line)
    metric = before["metric"]
    about = f" about {'the ' if before['about'] == 'own' else ''}{ABOUT[before['about']]}" if before["about"] else ""
    moved = [cell for cell in steered if cell["change_low"] > 0 or cell["change_high"] < 0]
    rest = [label("method", cell["method"]) for cell in steered if cell not in moved]
    told = [
        f"{label('method', cell['method'])} {number(cell['change'], metric, '+')} "
        f"[{number(cell['change_low'], metric, '+')}, {number(cell['change_high'], metric, '+')}]"
        for cell in moved
    ]
    unmoved = f"no change that can be told from 0 by {', '.join(rest) if moved else 'any of them'}"
    said = "; ".join([*([", ".join(told)] if told else []), *([unmoved] if rest else [])])
    return f"{title(before['questions'], metric)}{about}, baseline {number(before['value'], metric)}: {said}."


def _steered(cells: pd.DataFrame) -> str:
    count = int(cells["countries"].max())
    return counted(count, "steered country")


def title(questions: str, metric: str) -> str:
    """What was asked, and how it is scored if that is not plain."""
    return _OWN.get(questions, f"{questions}, {metric}")


def percent(metric: str) -> bool:
    """Whether a metric is printed in percent."""
    return metric.startswith(("acc", "exact_match"))


def number(value: float, metric: str, sign: str = "-") -> str:
    """A score as printed."""
    text = f"{100 * value:{sign}.1f}" if percent(metric) else f"{value:{sign}.3f}"
    return text.replace("-", MINUS)
