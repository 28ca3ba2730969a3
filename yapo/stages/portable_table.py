"""Stage ``portable_table``: what small, free-standing vectors cost, over all countries."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.evaluation.judges.label import judge_label
from yapo.reporting.portable import NAME, portable_table
from yapo.reporting.tables import TableOptions, write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, countries_of


def main(config: Config) -> None:
    """Writes ``tables/portable.*``."""
    study = Study.of(config)
    countries = countries_of(config, known_countries(config.data))
    rows = pd.concat([read_table(study.portable_scores(language, country)) for country, language in countries.items()])
    options = TableOptions(
        resamples=config.report.resamples,
        confidence=config.report.confidence,
        seed=config.report.seed,
        scorer=judge_label(config.judge),
        note=config.report.note,
    )
    write_tables({NAME: portable_table(rows.reset_index(drop=True), options)}, study.root / "tables")


if __name__ == "__main__":
    run(main)
