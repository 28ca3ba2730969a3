"""Stage ``behaviours_table``: all behaviours at both signs of every vector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.data.behaviours import LANGUAGE
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.judges.behaviour import scale_of
from yapo.evaluation.judges.label import behaviour_label
from yapo.paths import Paths
from yapo.reporting.cells import records
from yapo.reporting.names import in_order
from yapo.stages.app import run
from yapo.stages.provenance import autoencoder_name, learning_rates, model_name, schedule, training_runs
from yapo.stages.tables import table_options
from yapo.studies.behaviours import STUDY
from yapo.studies.behaviours.figure import behaviours_figure
from yapo.studies.behaviours.table import NAME, behaviour_cells, behaviours_table
from yapo.studies.write_report import write_report

READS = ("report", "judge", "methods")


def main(config: Config) -> None:
    """Write ``tables/behaviours.*``, ``figures/behaviours.*`` and the finding."""
    paths, options = Paths.of(config), replace(table_options(config), scorer=behaviour_label(config.judge))
    names = known_countries(config.data)
    rows = pd.concat([read_table(paths.evaluation(LANGUAGE, name)) for name in names], ignore_index=True)
    cells = behaviour_cells(rows, options)
    made = training_runs(paths, LANGUAGE, next(iter(names)), config.methods)  # of all behaviours alike
    trained_with = (
        f"model {model_name(made[0])}; autoencoder {autoencoder_name(made[0])}; layer {made[0].layer} (0-based); "
        f"{schedule(made)}; learning rates: {learning_rates(made)}."
    )
    tables = {NAME: behaviours_table(cells, options, trained_with)}
    figures = {NAME: behaviours_figure(cells, config.report.note)}
    values = {"parts": finding_parts(cells), "scorer": options.scorer, "made": trained_with}
    template = Path(__file__).with_name("finding.md.j2")
    write_report(config, NAME, STUDY.title, template, values, tables, figures)


def finding_parts(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each behaviour the range of every method, and the unsteered grade."""
    parts = []
    for behaviour, own in cells[cells["measure"] == "score"].groupby("behaviour"):
        (base,) = records(own[own["method"] == "baseline"])
        ranges = in_order(own[(own["direction"] == 0) & (own["method"] != "baseline")], ["method"])
        numbers = {"questions": int(base["n_questions"]), "unsteered": base["value"], "ranges": records(ranges)}
        parts.append({"title": scale_of(str(behaviour)).title, **numbers})
    return parts


if __name__ == "__main__":
    run(main)
