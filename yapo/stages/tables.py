"""Stage ``tables``: the paper's tables, for every method, from all countries' test answers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from yapo.config import Config
from yapo.dag.scope import countries_of
from yapo.data.schema import by_place, read_table
from yapo.data.sources import known_countries
from yapo.paths import Paths
from yapo.reporting.main_tables import build_tables
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.table_options import table_options

READS = ("report", "judge", "methods", "generation.mcq", "generation.likelihood")


def main(config: Config) -> None:
    """Write ``tables/``."""
    paths = Paths.of(config)
    countries = countries_of(config, known_countries(config.data))
    answers = [_read_all(paths, countries, way) for way in ("", *config.other_ways)]
    labels = [config.generation.label(way) for way in config.generation.mcq]
    items = by_place(read_table(paths.items))
    items = items[items["country"].isin(countries)]
    others = dict(zip(labels[1:], answers[1:], strict=False))
    tables = build_tables(answers[0], items, table_options(config), labels[0], others)
    write_tables(tables, paths.root / "tables")


def _read_all(paths: Paths, countries: Mapping[str, str], way: str) -> pd.DataFrame:
    """Read the test answers of all countries, by the first way to answer multiple choice or another one."""
    frames = [read_table(paths.evaluation(language_folder, country, way)) for country, language_folder in countries.items()]
    return pd.concat(frames, ignore_index=True)


if __name__ == "__main__":
    run(main)
