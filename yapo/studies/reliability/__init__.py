"""Reliability of a vector: items moved the wrong way, agreement of the pairs, separability along the vector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import Setting, Task, check_words, distinct
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config


@dataclass
class ReliabilityConfig:
    """Reliability of the vectors chosen on validation, measured on training pairs and test answers that are there already."""

    countries: list[str] = field(default_factory=list)
    setting: Setting = "nonlocalized"  # the questions that the vectors were trained on

    def __post_init__(self) -> None:
        distinct("studies.reliability.countries", self.countries)
        check_words("studies.reliability", self)


def _vectors(config: Config) -> list[tuple[Task, Setting]]:
    return [(task, config.studies.reliability.setting) for task in config.tasks]


STUDY = Study(
    title="Reliability",
    files=[*table_files("reliability"), *figure_files("reliability")],
    rows=["reliability"],
    vectors=_vectors,
    takes=("pairs", "evaluation"),
    minutes=60,
    setting_keys=("studies.reliability.setting",),
)
