"""Stage ``lambda_sweep_table``: the λ sweep over all its countries, as table, figures and finding."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.stages.app import run
from yapo.stages.tables import table_options
from yapo.studies.lambda_sweep import STUDY
from yapo.studies.lambda_sweep.figure import sweep_figure
from yapo.studies.lambda_sweep.table import NAME, best_multipliers, finding_values, lambda_sweep_table, sweep_cells
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "judge", "methods", "studies.lambda_sweep.settings")
FINDING = Path(__file__).with_name("finding.md.j2")


def main(config: Config) -> None:
    """Write ``tables/lambda_sweep.*``, ``figures/lambda_sweep_<setting>[_displacement].*`` and ``studies/lambda_sweep.json``."""
    rows, options = read_rows(config, NAME), table_options(config)
    cells, best = sweep_cells(rows, options), best_multipliers(rows, options)
    by_country = rows.groupby(["task", "variant", "country"])["gold_log_prob"].mean()
    gold = by_country.groupby(["task", "variant"]).mean()
    figures = {
        f"{NAME}_{setting}{over}": sweep_figure(cells, gold, setting, by_displacement=bool(over), note=options.note)
        for setting in config.studies.lambda_sweep.settings
        for over in ("", "_displacement")
    }
    values, tables = finding_values(rows, cells, best), {NAME: lambda_sweep_table(rows, cells, best, options)}
    write_report(config, NAME, STUDY.title, FINDING, values, tables, figures)


if __name__ == "__main__":
    run(main)
