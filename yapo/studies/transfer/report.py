"""Stage ``transfer_table``: transfer between all countries, as table, figures and finding."""

from __future__ import annotations

import pandas as pd

from yapo.config import VARIANTS, Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, studied
from yapo.stages.tables import table_options
from yapo.studies.transfer.figure import transfer_adoption, transfer_matrix, transfer_relations
from yapo.studies.transfer.finding import transfer_finding
from yapo.studies.transfer.table import NAME, PAIRS, transfer_cells, transfer_pairs_table, transfer_table

READS = ("report", "judge", "methods", "studies.transfer")


def main(config: Config) -> None:
    """Writes ``tables/transfer.*``, ``tables/transfer_pairs.*``, ``figures/transfer_*`` and ``studies/transfer.json``."""
    study, options, wanted = Study.of(config), table_options(config), config.studies.transfer.countries
    countries = studied(config, known_countries(config.data), wanted)
    if not countries:
        raise YapoError(f"studies.transfer.countries={wanted}: none of them is in this experiment; name one that is")
    rows = pd.concat(
        [read_table(study.of_study(NAME, language, country)) for country, language in countries.items()], ignore_index=True
    )
    rows = rows[rows["source"].isin([*countries, ""])]  # a job may have tried more
    cells = transfer_cells(rows, options)
    tables = {NAME: transfer_table(cells, options), PAIRS: transfer_pairs_table(cells, options)}
    write_tables(tables, study.root / "tables")
    figures = {f"{NAME}_{method}": transfer_matrix(cells, method, options.note) for method in config.methods}
    for variant in VARIANTS:
        figures[f"{NAME}_relations_{variant}"] = transfer_relations(cells, variant, options.note)
        figures[f"{NAME}_answers_{variant}"] = transfer_adoption(cells, variant, options.note)
    for name, figure in figures.items():
        write_figure(figure, study.root / "figures" / name)
    transfer_finding(cells, tuple(figures)).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
