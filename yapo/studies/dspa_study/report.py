"""Stage ``dspa_study_table``: DSPA's studies over all their countries, as tables, figure and finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.evaluation.judges.label import chat_label
from yapo.reporting.cells import records
from yapo.reporting.names import in_order, ordered
from yapo.reporting.numbers import score_digits
from yapo.stages.app import run
from yapo.stages.tables import table_options
from yapo.steering.method import read_options
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.methods.dspa.variants import own_values
from yapo.studies.dspa_study import STUDY
from yapo.studies.dspa_study.chat_table import CHAT, EVERY, chat_cells, chat_table
from yapo.studies.dspa_study.figure import study_figure
from yapo.studies.dspa_study.flops_table import FLOPS, flops_table
from yapo.studies.dspa_study.table import BASELINE, NAME, OWN, PAIRS, STRENGTHS, skipped_sizes, study_cells, study_table, with_own
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "method", "studies.dspa_study.countries", "studies.dspa_study.pairs")


def main(config: Config) -> None:
    """Write ``tables/dspa_study[_chat|_flops].*``, ``figures/dspa_study.*`` and the finding; ``method`` is dspa."""
    options = table_options(config)
    chat_options = replace(options, scorer=chat_label(config.judge))
    rows = read_rows(config, NAME, NAME)
    cells = study_cells(rows, options)
    available = round(cells.loc[cells["change"] == OWN, "pairs"].mean())
    cells = with_own(cells, own_values(read_options(DspaOptions, config.method.options), available))
    chat, flops = chat_cells(read_rows(config, NAME, "dspa_chat"), chat_options), read_rows(config, NAME, "dspa_flops")
    tables = {
        NAME: study_table(cells, options, skipped_sizes(rows, config.studies.dspa_study.pairs)),
        CHAT: chat_table(chat, chat_options),
        FLOPS: flops_table(flops, options),
    }
    values = {**finding_values(cells, chat, flops), "scorer": options.scorer, "chat_scorer": chat_options.scorer}
    figures = {NAME: study_figure(cells, options.note)}
    write_report(config, NAME, STUDY.title, Path(__file__).with_name("finding.md.j2"), values, tables, figures)


def finding_values(cells: pd.DataFrame, chat: pd.DataFrame, flops: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of the finding.

    Args:
        cells: cells that ``with_own`` returned.
        chat: cells that ``chat_cells`` returned.
        flops: rows about costs, of all countries.
    """
    parts = []
    for task in ordered("task", cells["task"]):
        own = cells[cells["task"] == task]
        found = {(cell["change"], cell["strength"]): cell for cell in records(own[own["change"].isin([OWN, BASELINE])])}
        scores = [(text, found[OWN, strength], found[BASELINE, strength]) for strength, text in STRENGTHS.items()]
        other = own[(own["strength"] == "one") & ~own["change"].isin([BASELINE, OWN, PAIRS]) & ~own["is_own"]]
        better, worse = int((other["diff_low"] > 0).sum()), int((other["diff_high"] < 0).sum())
        counts = {"changed": len(other), "better": better, "worse": worse}
        parts.append({"task": task, "digits": score_digits(task), "scores": scores, **counts})
    over = in_order(chat[(chat["country"] == EVERY) & (chat["method"] != "baseline")], ["method"])
    grades = over[(over["kind"] == "grade") & (over["turn"] == 0) & over["diff"].notna()]
    pairs = over[(over["kind"] == "pair") & over["value"].notna()]
    total = flops.groupby("quantity")["flops"].sum()
    shares = {name: total[name] / total["three_passes"] for name in ("run", "two_passes", "one_pass")}
    return {"parts": parts, "grades": records(grades), "pairs": records(pairs), **shares}


if __name__ == "__main__":
    run(main)
