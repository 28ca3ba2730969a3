"""Options that every table of a study is made with."""

from __future__ import annotations

from yapo.config import Config
from yapo.evaluation.judges.label import judge_label
from yapo.reporting.tables import TableOptions


def table_options(config: Config) -> TableOptions:
    """Return the options of every table of a study."""
    return TableOptions(
        resamples=config.report.resamples,
        confidence=config.report.confidence,
        seed=config.report.seed,
        scorer=judge_label(config.judge),
        note=config.report.note,
    )
