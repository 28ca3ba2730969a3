"""Stage ``ablations_table``: the ablations over all their countries and methods, as table, figure and finding."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.stages.app import run
from yapo.stages.tables import table_options
from yapo.studies.ablations import STUDY
from yapo.studies.ablations.figure import ablations_figure
from yapo.studies.ablations.table import NAME, ablation_cells, ablation_table, finding_values
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.ablations")
FINDING = Path(__file__).with_name("finding.md.j2")


def main(config: Config) -> None:
    """Write ``tables/ablations.*``, ``figures/ablations.*`` and ``studies/ablations.json``."""
    rows, settings, options = read_rows(config, NAME), config.studies.ablations, table_options(config)
    changes = {name: ", ".join(f"{key}={value}" for key, value in part.items()) for name, part in settings.changes.items()}
    cells = ablation_cells(rows, options)
    table = ablation_table(cells, rows["country"].nunique(), changes, settings.setting, options)
    figure = ablations_figure(cells, options.note)
    write_report(config, NAME, STUDY.title, FINDING, finding_values(cells), {NAME: table}, {NAME: figure})


if __name__ == "__main__":
    run(main)
