"""Open-ended answers as the field judges them: diversity, caricatures, grades by part, agreement of raters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import Setting, Task, check_path, check_seed, distinct, require
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config

SHEET = "studies/open_answers/human_sheet.csv"  # relative to the study's folder


@dataclass
class OpenAnswersConfig:
    """Several sampled answers to each open-ended test question, by the vectors chosen on validation and their controls."""

    countries: list[str] = field(default_factory=list)
    setting: Setting = "nonlocalized"  # of the questions, and of those that the vectors were trained on
    samples: int = 5  # answers to each question
    temperature: float = 1.0
    seed: int = 0  # of the samples, and of the answers that a human sheet has
    judged_samples: int = 1  # of each question: a judge's requests cost money
    # A second judge, to see how far judges agree, as typed on a command line: [judge=local, judge.model=PATH]. Empty: the offline
    # reference.
    second_judge: list[str] = field(default_factory=list)
    caricatures: str = "world/caricatures.yaml"  # country: [terms]
    sheet_answers: int = 200  # of a human sheet, at most
    human_sheets: list[str] = field(default_factory=list)  # filled-in copies of it, one a rater

    def __post_init__(self) -> None:
        key = "studies.open_answers"
        require(self.samples >= 2, f"{key}.samples", self.samples, "at least 2: diversity compares answers to one question")
        require(self.temperature > 0, f"{key}.temperature", self.temperature, "above 0: samples of greedy decoding are all alike")
        check_seed(f"{key}.seed", self.seed)
        judged = 1 <= self.judged_samples <= self.samples
        require(judged, f"{key}.judged_samples", self.judged_samples, f"1 to studies.open_answers.samples={self.samples}")
        require(self.sheet_answers > 0, f"{key}.sheet_answers", self.sheet_answers, "at least 1")
        distinct(f"{key}.human_sheets", self.human_sheets)
        for name, paths in (("caricatures", [self.caricatures]), ("human_sheets", self.human_sheets)):
            for path in paths:
                check_path(f"{key}.{name}", path)

    @property
    def task(self) -> Task:
        """The task whose answers are free text."""
        return "open_ended"


def has_model_judge(config: Config) -> bool:
    """Return whether one of the two judges is a model."""
    return config.judge.name != "offline" or bool(config.studies.open_answers.second_judge)


def has_raters(config: Config) -> bool:
    """Return whether there are two raters to compare: two judges, or a judge and a person."""
    return has_model_judge(config) or bool(config.studies.open_answers.human_sheets)


def _files(config: Config) -> list[str]:
    tables = ["open_answers"]
    tables += ["open_answers_parts"] if has_model_judge(config) else []
    tables += ["open_answers_agreement"] if has_raters(config) else []
    return [*table_files(*tables), *figure_files("open_answers")]


STUDY = Study(
    title="Open answers: diversity, caricatures, judges",
    files=_files,
    rows=["open_answers"],
    vectors=lambda config: [("open_ended", config.studies.open_answers.setting)],
    task_keys=("studies.open_answers.task",),
    setting_keys=("studies.open_answers.setting",),
)
