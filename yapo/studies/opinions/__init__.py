"""Opinions: how alike the model's answers to surveys and a country's are, before and after steering."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import Setting, Task, check_path, check_words, distinct
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config


@dataclass
class OpinionsConfig:
    """Survey questions of GlobalOpinionQA, answered under the vectors that were chosen on validation."""

    path: str = ""  # a copy of global_opinions.csv, or a folder with one; docs/own-data.md
    countries: list[str] = field(default_factory=list)
    task: Task = "open_ended"  # of the vectors
    setting: Setting = "nonlocalized"  # of the vectors

    def __post_init__(self) -> None:
        check_path("studies.opinions.path", self.path)
        distinct("studies.opinions.countries", self.countries)
        check_words("studies.opinions", self)


def _vectors(config: Config) -> list[tuple[Task, Setting]]:
    return [(config.studies.opinions.task, config.studies.opinions.setting)]


STUDY = Study(
    title="Opinions",
    files=[*table_files("opinions"), *figure_files("opinions")],
    rows=["opinions"],
    vectors=_vectors,
    minutes=240,
    task_keys=("studies.opinions.task",),
    setting_keys=("studies.opinions.setting",),
    needs=("studies.opinions.path",),
    trains=False,
)
