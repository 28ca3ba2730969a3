"""Stage ``knowledge_table``: general knowledge before and after steering, over all steered countries."""

from __future__ import annotations

from pathlib import Path

from yapo.config import Config
from yapo.reporting.names import label
from yapo.reporting.tables import TableOptions
from yapo.stages.app import run
from yapo.studies.knowledge import STUDY
from yapo.studies.knowledge.figure import knowledge_changes
from yapo.studies.knowledge.table import NAME, finding_lines, knowledge_cells, knowledge_table
from yapo.studies.write_report import read_rows, write_report

READS = ("report", "methods", "knowledge", "studies.knowledge")


def main(config: Config) -> None:
    """Write ``tables/knowledge.*``, ``figures/knowledge.*`` and the finding."""
    report, task, setting = config.report, config.knowledge.vector_task, config.knowledge.vector_setting
    options = TableOptions(report.resamples, report.confidence, report.seed, note=report.note)
    vector = f"vectors: {label('task', task).lower()}, {label('setting', setting).lower()}"
    cells = knowledge_cells(read_rows(config, NAME), options)
    values = {
        "countries": int(cells["countries"].max()),
        "vector": vector,
        "lines": finding_lines(cells),
        "confidence": options.confidence,
        "own": bool((cells["about"] != "").any()),
        "note": options.note,
    }
    tables, figures = {NAME: knowledge_table(cells, vector, options)}, {NAME: knowledge_changes(cells, report.note)}
    write_report(config, NAME, STUDY.title, Path(__file__).with_name("finding.md.j2"), values, tables, figures)


if __name__ == "__main__":
    run(main)
