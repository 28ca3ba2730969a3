"""Stage ``transfer_table``: transfer between all countries, as tables, figures and finding."""

from __future__ import annotations

from pathlib import Path

from yapo.config import VARIANTS, Config
from yapo.stages.app import run
from yapo.stages.table_options import table_options
from yapo.studies.transfer.figure import transfer_adoption, transfer_matrix, transfer_relations
from yapo.studies.transfer.table import NAME, PAIRS, finding_values, transfer_cells, transfer_pairs_table, transfer_table
from yapo.studies.write_report import read_rows, study_countries, write_report

READS = ("report", "judge", "methods", "studies.transfer")
FINDING = Path(__file__).with_name("finding.md.j2")


def main(config: Config) -> None:
    """Write ``tables/transfer.*``, ``tables/transfer_pairs.*``, ``figures/transfer_*`` and ``studies/transfer.json``."""
    rows, options = read_rows(config, NAME), table_options(config)
    rows = rows[rows["source"].isin([*study_countries(config, NAME), ""])]  # a job may have tried more
    cells = transfer_cells(rows, options)
    tables = {NAME: transfer_table(cells, options), PAIRS: transfer_pairs_table(cells, options)}
    figures = {f"{NAME}_{method}": transfer_matrix(cells, method, options.note) for method in config.methods}
    for variant in VARIANTS:
        figures[f"{NAME}_relations_{variant}"] = transfer_relations(cells, variant, options.note)
        figures[f"{NAME}_answers_{variant}"] = transfer_adoption(cells, variant, options.note)
    pages = [f"tables/{PAIRS}.html"]  # the figures' numbers, hundreds of lines
    write_report(config, NAME, FINDING, finding_values(cells), tables, figures, pages)


if __name__ == "__main__":
    run(main)
