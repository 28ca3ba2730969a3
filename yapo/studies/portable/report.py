"""Stage ``portable_table``: scores of small, free-standing vectors, over all countries."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.paths import Paths
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.tables import table_options
from yapo.studies.portable.table import NAME, portable_table

READS = ("report", "judge", "methods")


def main(config: Config) -> None:
    """Write ``tables/portable.*``."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    rows = pd.concat([read_table(paths.portable_scores(language, country)) for country, language in countries.items()])
    write_tables({NAME: portable_table(rows.reset_index(drop=True), table_options(config))}, paths.root / "tables")


if __name__ == "__main__":
    run(main)
