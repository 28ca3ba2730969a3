"""Stage ``tables``: the paper's tables, for every method, from all countries' test answers."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.paths import Paths
from yapo.reporting.main_tables import build_tables
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.table_options import table_options

READS = ("report", "judge", "methods")


def main(config: Config) -> None:
    """Write ``tables/``."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    evaluation = pd.concat([read_table(paths.evaluation(language, country)) for country, language in countries.items()])
    items = read_table(paths.items)
    tables = build_tables(evaluation.reset_index(drop=True), items[items["country"].isin(countries)], table_options(config))
    write_tables(tables, paths.root / "tables")


if __name__ == "__main__":
    run(main)
