"""Stage ``knowledge_table``: general knowledge before and after steering, over all steered countries."""

from __future__ import annotations

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.reporting.names import label
from yapo.reporting.style import write_figure
from yapo.reporting.tables import TableOptions, write_tables
from yapo.stages.app import run
from yapo.stages.study import Study, studied
from yapo.studies.knowledge.figure import knowledge_changes
from yapo.studies.knowledge.table import NAME, knowledge_cells, knowledge_finding, knowledge_table

READS = ("report", "knowledge", "studies.knowledge")


def main(config: Config) -> None:
    """Writes ``tables/knowledge.*``, ``figures/knowledge.*`` and the finding."""
    study, report = Study.of(config), config.report
    countries = studied(config, known_countries(config.data), config.studies.knowledge.countries)
    files = [study.country(language, country) / "knowledge.parquet" for country, language in countries.items()]
    rows = pd.concat([read_table(path) for path in files], ignore_index=True)
    options = TableOptions(report.resamples, report.confidence, report.seed, note=report.note)
    cells = knowledge_cells(rows, options)
    task, setting = config.knowledge.vector_task, config.knowledge.vector_setting
    vector = f"vectors: {label('task', task).lower()}, {label('setting', setting).lower()}"
    write_tables({NAME: knowledge_table(cells, vector, options)}, study.root / "tables")
    write_figure(knowledge_changes(cells, report.note), study.root / "figures" / NAME)
    knowledge_finding(cells, vector, options).save(study.finding(NAME))


if __name__ == "__main__":
    run(main)
