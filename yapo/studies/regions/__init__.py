"""Regions within a country: whom the country's vector serves, and what a region's vector tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import Setting, Task, check_words, distinct
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config


@dataclass
class RegionsConfig:
    """Answers of every region of a country, weighed under the vectors of the country, of the region and of its siblings."""

    countries: list[str] = field(default_factory=list)
    task: Task = "open_ended"  # of the vectors
    setting: Setting = "nonlocalized"  # of the vectors

    def __post_init__(self) -> None:
        distinct("studies.regions.countries", self.countries)
        check_words("studies.regions", self)


def _vectors(config: Config) -> Sequence[tuple[Task, Setting]]:
    return [(config.studies.regions.task, config.studies.regions.setting)]


STUDY = Study(
    title="Regions within a country",
    files=[*table_files("regions"), *figure_files("regions")],
    rows=["regions"],
    vectors=_vectors,
    minutes=120,
    task_keys=("studies.regions.task",),
    setting_keys=("studies.regions.setting",),
    regions=True,
)
