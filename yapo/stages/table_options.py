"""Options that every table of a study is made with."""

from __future__ import annotations

from yapo.config import Config
from yapo.data.sources import forms_of
from yapo.evaluation.judges.label import judge_label
from yapo.reporting.names import label
from yapo.reporting.tables import TableOptions


def table_options(config: Config) -> TableOptions:
    """Return the options of every table of a study; the note says so where the data have one form of every question."""
    forms = forms_of(config.data)
    one_form = f"All questions are {label('variant', forms[0]).lower()}; the data have no other form." if len(forms) == 1 else ""
    return TableOptions(
        resamples=config.report.resamples,
        confidence=config.report.confidence,
        seed=config.report.seed,
        scorer=judge_label(config.judge),
        note=f"{config.report.note} {one_form}".strip(),
    )
