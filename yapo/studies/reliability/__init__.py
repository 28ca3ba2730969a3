"""Reliability of a vector: items moved the wrong way, agreement of the pairs, separability along the vector."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import Setting
from yapo.studies.base import Study, figure_files, table_files


@dataclass
class ReliabilityConfig:
    """Reliability of the vectors chosen on validation, measured on training pairs and test answers that are there already."""

    countries: list[str] = field(default_factory=list)
    setting: Setting = "nonlocalized"  # the questions that the vectors were trained on


STUDY = Study(
    title="Reliability",
    files=[*table_files("reliability"), *figure_files("reliability")],
    rows=["reliability"],
    vectors=lambda config: [(task, config.studies.reliability.setting) for task in config.tasks],
    takes=("pairs", "evaluation"),
    minutes=60,
    setting_keys=("studies.reliability.setting",),
)
