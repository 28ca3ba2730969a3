"""Stage ``knowledge_table``: general knowledge before and after steering, over all countries."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.reporting.knowledge import NAME, knowledge_table
from yapo.reporting.names import label
from yapo.reporting.tables import write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, countries_of


def main(config: Config) -> None:
    """Writes ``tables/knowledge.*``."""
    study = Study.of(config)
    countries = countries_of(config, known_countries(config.data))
    files = [study.country(language, country) / "knowledge.parquet" for country, language in countries.items()]
    rows = pd.concat([read_table(path) for path in files], ignore_index=True)
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    vector = f"vectors: {label('task', task)}, {label('setting', setting)}"
    write_tables({NAME: knowledge_table(rows, vector, config.report.note)}, study.root / "tables")


if __name__ == "__main__":
    run(main)
