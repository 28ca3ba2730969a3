"""Tables of open answers: diversity, caricatures and scores; grades by part; agreement of raters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from yapo.checks import Setting
from yapo.reporting.names import label, ordered
from yapo.reporting.numbers import failed, number, number_cell, plural
from yapo.reporting.render import Cell, Group, Sheet, TableRow
from yapo.reporting.tables import Table, TableOptions, make_table
from yapo.studies.means import by_key
from yapo.studies.open_answers.measures import AVERAGE, Measure

# Decimals of each measure, and its name at the head of a column.
DIGITS: Mapping[Measure, int] = {"self_chrf": 1, "repeated": 1, "empty": 1, "own": 1, "others": 1}
NAMES: Mapping[Measure, str] = {
    "distinct_1": "Distinct-1",
    "distinct_2": "Distinct-2",
    "self_chrf": "Self-chrF",
    "repeated": "Repeated (%)",
    "empty": "Empty (%)",
    "own": "Own caricatures (%)",
    "others": "Others' caricatures (%)",
    "score": "Score",
    "concept": "Concept",
    "instruct": "Instruct",
    "fluency": "Fluency",
    "harmonic_mean": "Harmonic mean",
}
ANSWERS: tuple[Measure, ...] = ("distinct_1", "distinct_2", "self_chrf", "repeated", "empty", "own", "others", "score")
PARTS_TABLE: tuple[Measure, ...] = ("concept", "instruct", "fluency", "harmonic_mean", "score")
_SCALES = {
    "score": "Score, 0 to 10 (quadratic weights)",
    "caricature": "Names a caricature of the country, yes or no (unweighted)",
}


def answers_table(
    cells: pd.DataFrame,
    unread: Mapping[tuple[str, str, str], float],
    setting: Setting,
    samples: str,
    notes: Sequence[str],
    options: TableOptions,
) -> Table:
    """Return the table of diversity, caricatures and scores: a row for each method, a group for each country and their mean.

    Args:
        cells: from ``measures.open_answer_cells``.
        unread: from ``measures.unread_shares``.
        setting: of the questions.
        samples: how answers were sampled, in words.
        notes: further notes.
        options: see ``TableOptions``.
    """
    listless = [
        country for country in _countries(cells) if cells[(cells["country"] == country) & (cells["measure"] == "own")].empty
    ]
    missing = ", ".join(label("country", country) for country in listless)
    sheet = Sheet(
        name="open_answers",
        title="Open answers: diversity, caricatures, scores",
        caption=(
            f"{samples} to each {label('setting', setting).lower()} open-ended test question. "
            f"Score: {options.scores(['open_ended'])}, of the first sample of each question unless more are judged."
        ),
        notes=(
            "Distinct-1, distinct-2: distinct words and pairs of words by all of them, over the samples of a question, mean over "
            "questions. In scripts without spaces each letter is a word. Self-chrF: mean chrF of each sample against the others "
            "of its question; high where they are alike.",
            "Repeated: samples that are the same as an earlier one of their question but for case, spaces and punctuation around "
            "them. Empty: samples without a letter or sign.",
            "Own, others' caricatures: answers that name a term of the list of the country, or of another country only. A right "
            "answer may name one too." + (f" No list, so no share: {missing}." if missing else ""),
            *notes,
            f"Brackets: {options.brackets()}; all methods draw the same facts. Where all facts are alike, Clopper and Pearson's "
            "interval over facts. n: answers; scores are of fewer.",
        ),
        heads=("Method",),
        columns=(*(NAMES[name] for name in ANSWERS), "n"),
        groups=_groups(cells, ANSWERS, unread, "repeated"),
    )
    return make_table(sheet, cells[cells["measure"].isin(ANSWERS)], options.note)


def parts_table(cells: pd.DataFrame, unread: Mapping[tuple[str, str, str], float], judge: str, options: TableOptions) -> Table:
    """Return the table of concept, instruct and fluency: rows and groups as in ``answers_table``.

    Args:
        cells: from ``measures.open_answer_cells``.
        unread: from ``measures.unread_shares``.
        judge: who graded the parts.
        options: see ``TableOptions``.
    """
    sheet = Sheet(
        name="open_answers_parts",
        title="Open answers: concept, instruct, fluency",
        caption=f"Grades from 0 to 2 by {judge}, each asked for by itself, and their harmonic mean, which is 0 where one is 0.",
        notes=(
            "Concept: everyday life of the country. Instruct: the question is answered. Fluency: of the language alone. The "
            "three are AxBench's; the wording is ours, so they compare with no published ones.",
            f"Score, beside them: {options.scores(['open_ended'])}. Replies that could not be read count in no mean. "
            "Unread: answers of which one of the three was not.",
            f"Brackets: {options.brackets()}; all methods draw the same facts. n: answers with all three grades.",
        ),
        heads=("Method",),
        columns=(*(NAMES[name] for name in PARTS_TABLE), "Unread (%)", "n"),
        groups=_groups(cells, PARTS_TABLE, unread, "harmonic_mean", show_unread=True),
    )
    return make_table(sheet, cells[cells["measure"].isin(PARTS_TABLE)], options.note)


def agreement_table(cells: pd.DataFrame, judges: str, options: TableOptions) -> Table:
    """Return the table of Cohen's κ: a row for every two raters, a group for each scale.

    Args:
        cells: from ``raters.agreement_cells``.
        judges: who they are, in a sentence.
        options: see ``TableOptions``.
    """
    groups = []
    for scale, part in cells.groupby("scale", sort=False):
        lines = [
            TableRow((row["first"], row["second"]), (number_cell(row), Cell(f"{row['n']:,}"), Cell(f"{row['n_facts']:,}")))
            for row in by_key(part, ["first", "second"]).values()
        ]
        groups.append(Group(_SCALES[str(scale)], tuple(lines)))
    sheet = Sheet(
        name="open_answers_agreement",
        title="Open answers: agreement of raters",
        caption="Cohen's κ of every two raters on the same answers: 1 where they agree, 0 where they agree as by chance.",
        notes=(
            "Each distinct answer counts once, whichever methods gave it. Scores that are no whole numbers are rounded. Answers "
            "that one of the two did not rate are left out.",
            judges,
            f"Brackets: {options.brackets()}; none where all resamples are alike, as where raters agree on everything or one "
            "gives the same throughout. A dash: κ is not defined, as where both do.",
        ),
        heads=("Rater", "Other rater"),
        columns=("κ", "n", "Facts"),
        groups=tuple(groups),
    )
    return make_table(sheet, cells, options.note)


def _groups(
    cells: pd.DataFrame,
    measures: Sequence[Measure],
    unread: Mapping[tuple[str, str, str], float],
    counted: Measure,
    show_unread: bool = False,
) -> tuple[Group, ...]:
    """Return a row a method and a group a country; n, and the unread share where it is shown, are those of ``counted``."""
    at = by_key(cells, ["country", "method", "measure"])
    countries = _countries(cells)
    groups = []
    for country in [*([AVERAGE] if len(countries) > 1 else []), *countries]:
        heading = f"Mean over {plural(len(countries), 'country')}" if country == AVERAGE else label("country", country)
        lines = []
        for method in ordered("method", cells["method"]):
            shares = {name: unread.get((country, method, name), 0.0) for name in measures}
            printed = [_cell(at.get((country, method, name)), name, shares[name]) for name in measures]
            lost = [Cell(number(100 * shares[counted], 1))] if show_unread else []
            n = at[country, method, counted]["n"] if (country, method, counted) in at else 0
            lines.append(TableRow((label("method", method),), (*printed, *lost, Cell(f"{n:,}"))))
        groups.append(Group(heading, tuple(lines)))
    return tuple(groups)


def _cell(record: dict[str, Any] | None, measure: Measure, unread: float) -> Cell | None:
    return number_cell(record, DIGITS.get(measure, 2), failures=failed(unread, "unread"))


def _countries(cells: pd.DataFrame) -> list[str]:
    return [country for country in ordered("country", cells["country"]) if country != AVERAGE]
