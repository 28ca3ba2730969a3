"""Stage ``behaviours_table``: all behaviours at both signs of every vector."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from yapo.config import Config
from yapo.data.behaviours import LANGUAGE
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.judges.label import behaviour_label
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.made import autoencoder_name, learning_rates, made_of, model_name, schedule
from yapo.stages.study import Study
from yapo.stages.tables import table_options
from yapo.studies.behaviours.table import NAME, behaviour_cells, behaviours_figure, behaviours_finding, behaviours_table

READS = ("report", "judge", "methods")


def main(config: Config) -> None:
    """Write ``tables/behaviours.*``, ``figures/behaviours.*`` and the finding."""
    study, options = Study.of(config), replace(table_options(config), scorer=behaviour_label(config.judge))
    names = known_countries(config.data)
    rows = pd.concat([read_table(study.evaluation(LANGUAGE, name)) for name in names], ignore_index=True)
    cells = behaviour_cells(rows, options)
    made = made_of(study, LANGUAGE, next(iter(names)), config.methods)  # of all behaviours alike
    said = (
        f"model {model_name(made[0])}; autoencoder {autoencoder_name(made[0])}; layer {made[0].layer} (0-based); "
        f"{schedule(made)}; learning rates: {learning_rates(made)}."
    )
    write_tables({NAME: behaviours_table(cells, options, said)}, study.root / "tables")
    write_figure(behaviours_figure(cells, config.report.note), study.root / "figures" / NAME)
    behaviours_finding(cells, options.scorer, said).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
