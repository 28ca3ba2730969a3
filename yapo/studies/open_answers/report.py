"""Report of the study ``open_answers``: tables, figure and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.evaluation.caricatures import Caricatures
from yapo.evaluation.judges.axbench import PARTS
from yapo.evaluation.judges.label import judge_label
from yapo.paths import Paths
from yapo.reporting import style
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, label, ordered
from yapo.reporting.numbers import number, percent, plural
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.open_answers import SHEET, has_model_judge, has_raters
from yapo.studies.open_answers.figure import open_answers_figure
from yapo.studies.open_answers.human_sheet import JUDGES, rated_answers, read_sheets
from yapo.studies.open_answers.measures import AVERAGE, measured, open_answer_cells, unread_shares
from yapo.studies.open_answers.raters import agreement_cells, all_ratings
from yapo.studies.open_answers.second_judge import second_judge
from yapo.studies.open_answers.table import agreement_table, answers_table, parts_table
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.open_answers")
FINDING = Path(__file__).with_name("finding.md.j2")
NAME = "open_answers"
GRADED: dict[str, list[str]] = {"score": ["score"], "harmonic_mean": [*PARTS]}
NOT_ASKED = "Concept, instruct and fluency were not graded: the only judge is the offline reference, which cannot grade them."


def main(config: Config) -> None:
    """Write ``tables/open_answers*.*``, ``figures/open_answers.*`` and ``studies/open_answers.json``."""
    rows, options, study = read_rows(config, NAME), table_options(config), config.studies.open_answers
    caricatures, unread = Caricatures.load(Path(study.caricatures)), unread_shares(rows)
    cells = open_answer_cells(measured(rows, caricatures), options)
    judge, second = config.judge, second_judge(config)
    parts_judge = judge_label(judge if judge.name != "offline" else second)
    samples = f"{plural(study.samples, 'answer')} sampled at temperature {number(study.temperature, 1)}"
    asked = [] if has_model_judge(config) else [NOT_ASKED]
    notes = [*reference_note(rows, caricatures), *asked]
    tables = {NAME: answers_table(cells, unread, study.setting, samples, notes, options)}
    if has_model_judge(config):
        tables["open_answers_parts"] = parts_table(cells, unread, parts_judge, options)
    agreement = pd.DataFrame()
    if has_raters(config):
        ratings = rated(config, rows, caricatures)
        agreement = agreement_cells(ratings, rated_answers(rows)["question_id"], options)
        tables["open_answers_agreement"] = agreement_table(agreement, judges_note(config, ratings["score"]), options)
    scope, judged = style.scope(rows), rows[rows["judged"]]
    shown = shown_cells(cells)
    values = finding_values(shown, scope, samples) | {
        "setting": study.setting,
        "not_asked": NOT_ASKED if asked else "",
        "unread": {name: float(judged[columns].isna().any(axis=1).mean()) for name, columns in GRADED.items()},
        "parts_judge": parts_judge,
        "agreement": records(agreement),
    }
    write_report(config, NAME, FINDING, values, tables, {NAME: open_answers_figure(shown, scope, options.note)})


def rated(config: Config, rows: pd.DataFrame, caricatures: Caricatures) -> dict[str, pd.DataFrame]:
    """Return what every rater gave; see ``raters.all_ratings``.

    Raises:
        YapoError: a human sheet is not as it should be.
    """
    answers, paths = rated_answers(rows), config.studies.open_answers.human_sheets
    sheets = read_sheets([Path(path) for path in paths], answers, Paths.of(config).root / SHEET)
    return all_ratings(answers, sheets, caricatures)


def judges_note(config: Config, scores: pd.DataFrame) -> str:
    """Return who the judges are, and of whom no score could be read."""
    told = []
    for name, settings in zip(JUDGES.values(), (config.judge, second_judge(config)), strict=True):
        if name == "judge" or has_model_judge(config):
            told.append(f"{name}: {judge_label(settings)}{'' if name in scores else ', of which no score could be read'}")
    return f"{'; '.join(told)}.".replace("judge:", "Judge:", 1)


def reference_note(rows: pd.DataFrame, caricatures: Caricatures) -> list[str]:
    """Return how many reference answers name a caricature themselves, in one sentence; nothing where no country has a list."""
    answers, shares = rows.drop_duplicates(["country", "question_id", "answer"]), []
    for country in ordered("country", answers["country"]):
        named = caricatures.own(country, answers.loc[answers["country"] == country, "answer"].tolist())
        if named is not None:
            shares.append(f"{label('country', country)} {percent(sum(named) / len(named), 1)}")
    return [f"Reference answers that name an own caricature: {', '.join(shares)}."] if shares else []


def shown_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the mean over countries; of the only country where there is one."""
    countries = [country for country in cells["country"].unique() if country != AVERAGE]
    return cells[cells["country"] == (AVERAGE if len(countries) > 1 else countries[0])]


def finding_values(cells: pd.DataFrame, scope: str, samples: str) -> dict[str, Any]:
    """Return what ``finding.md.j2`` prints of the measures.

    Args:
        cells: of the mean over countries, or of the only one.
        scope: which of them, in words.
        samples: how answers were sampled, in words.
    """
    by_measure = {}
    for name, part in cells.groupby("measure", sort=False):
        shown = in_order(part, ["method"])
        above, below = (shown.loc[moved, "method"].tolist() for moved in (shown["change_low"] > 0, shown["change_high"] < 0))
        by_measure[str(name)] = {"records": records(shown), "above": above, "below": below}
    n = max(record["n"] for record in by_measure["repeated"]["records"])
    return {"scope": scope, "samples": samples, "n": n, "measures": by_measure}


if __name__ == "__main__":
    run(main)
