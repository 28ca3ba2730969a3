"""Stage ``ablations_table``: the ablations over all their countries and methods, as table, figure and finding."""

from __future__ import annotations

from yapo.config import Config
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study
from yapo.stages.tables import table_options
from yapo.stages.trainings import read_trainings
from yapo.studies.ablations.figure import ablations_figure
from yapo.studies.ablations.finding import ablations_finding
from yapo.studies.ablations.table import NAME, ablation_cells, ablation_table

READS = ("report", "judge", "methods", "studies.ablations")


def main(config: Config) -> None:
    """Writes ``tables/ablations.*``, ``figures/ablations.*`` and ``studies/ablations.json``."""
    study, settings, options = Study.of(config), config.studies.ablations, table_options(config)
    rows = read_trainings(config, NAME, settings.countries, settings.methods)
    told = {name: ", ".join(f"{key}={value}" for key, value in changes.items()) for name, changes in settings.changes.items()}
    write_tables({NAME: ablation_table(rows, told, settings.setting, options)}, study.root / "tables")
    cells = ablation_cells(rows, options)
    write_figure(ablations_figure(cells, options.note), study.root / "figures" / NAME)
    ablations_finding(cells, figures=(NAME,)).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
