"""Opinions: how alike the model's answers to surveys and a country's are, before and after steering."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import Setting, Task, check_path
from yapo.studies.base import Study, figure_files, table_files


@dataclass
class OpinionsConfig:
    """Survey questions of GlobalOpinionQA, answered under the vectors that were chosen on validation."""

    path: str = ""  # a copy of global_opinions.csv, or a folder with one; docs/own-data.md
    countries: list[str] = field(default_factory=list)
    task: Task = "open_ended"  # of the vectors
    setting: Setting = "nonlocalized"  # of the vectors

    def __post_init__(self) -> None:
        check_path("studies.opinions.path", self.path)


STUDY = Study(
    title="Opinions",
    files=[*table_files("opinions"), *figure_files("opinions")],
    rows=["opinions"],
    vectors=lambda config: [(config.studies.opinions.task, config.studies.opinions.setting)],
    minutes=240,
    task_keys=("studies.opinions.task",),
    setting_keys=("studies.opinions.setting",),
    needs=("studies.opinions.path",),
    trains=False,
)
