"""Stage ``convergence_table``: convergence over all its countries and methods, as table, figure and finding."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.stages.app import run
from yapo.stages.tables import table_options
from yapo.studies.convergence import STUDY
from yapo.studies.convergence.figure import convergence_figure
from yapo.studies.convergence.table import NAME, convergence_cells, convergence_table, finding_values, smoothed
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.convergence")
FINDING = Path(__file__).with_name("finding.md.j2")


def main(config: Config) -> None:
    """Write ``tables/convergence.*``, ``figures/convergence.*`` and ``studies/convergence.json``."""
    rows, settings, options = read_rows(config, NAME), config.studies.convergence, table_options(config)
    runs = smoothed(rows, settings.window)
    cells = convergence_cells(rows, runs, settings.losses, options)
    table = convergence_table(rows, cells, settings.losses, settings.window, settings.setting, options)
    figure = convergence_figure(rows, runs, settings.window, options.note)
    values = {**finding_values(rows, runs, cells, options), "window": settings.window}
    write_report(config, NAME, STUDY.title, FINDING, values, {NAME: table}, {NAME: figure})


if __name__ == "__main__":
    run(main)
