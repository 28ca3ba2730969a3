"""Stage ``lambda_sweep_table``: the λ sweep over all its countries, as table, figures and finding."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.reporting.style import write_figure
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, studied
from yapo.stages.tables import table_options
from yapo.studies.lambda_sweep.figure import sweep_figure
from yapo.studies.lambda_sweep.finding import lambda_sweep_finding
from yapo.studies.lambda_sweep.table import NAME, lambda_sweep_table, sweep_cells

READS = ("report", "judge", "methods", "studies.lambda_sweep.settings")


def main(config: Config) -> None:
    """Writes ``tables/lambda_sweep.*``, ``figures/lambda_sweep_<setting>[_displacement].*`` and ``studies/lambda_sweep.json``."""
    study, sweep, options = Study.of(config), config.studies.lambda_sweep, table_options(config)
    countries = studied(config, known_countries(config.data), sweep.countries)
    if not countries:
        raise YapoError(f"studies.lambda_sweep.countries={sweep.countries}: none of them is in this experiment; name one that is")
    rows = pd.concat(
        [read_table(study.of_study(NAME, language, country)) for country, language in countries.items()], ignore_index=True
    )
    write_tables({NAME: lambda_sweep_table(rows, options)}, study.root / "tables")
    cells = sweep_cells(rows, options)
    by_country = rows.groupby(["task", "variant", "country"])["gold_log_prob"].mean()
    gold = by_country.groupby(["task", "variant"]).mean().rename("value").reset_index()
    names = []
    for setting in sweep.settings:
        for by_displacement in (False, True):
            names.append(f"{NAME}_{setting}" + ("_displacement" if by_displacement else ""))
            figure = sweep_figure(cells, gold, setting, by_displacement=by_displacement, note=options.note)
            write_figure(figure, study.root / "figures" / names[-1])
    lambda_sweep_finding(rows, options, tuple(names)).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
