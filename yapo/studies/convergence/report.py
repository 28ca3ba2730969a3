"""Stage ``convergence_table``: convergence over all its countries and methods, as table, figure and finding."""

from __future__ import annotations

from yapo.config import Config
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study
from yapo.stages.tables import table_options
from yapo.stages.trainings import read_trainings
from yapo.studies.convergence.figure import convergence_figure
from yapo.studies.convergence.finding import convergence_finding
from yapo.studies.convergence.table import NAME, convergence_table

READS = ("report", "judge", "methods", "studies.convergence")


def main(config: Config) -> None:
    """Writes ``tables/convergence.*``, ``figures/convergence.*`` and ``studies/convergence.json``."""
    study, settings, options = Study.of(config), config.studies.convergence, table_options(config)
    rows = read_trainings(config, NAME, settings.countries, settings.methods)
    table = convergence_table(rows, settings.losses, settings.window, settings.setting, options)
    write_tables({NAME: table}, study.root / "tables")
    write_figure(convergence_figure(rows, settings.window, options.note), study.root / "figures" / NAME)
    convergence_finding(rows, settings.losses, settings.window, options, figures=(NAME,)).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
