"""Vectors trained on another model, applied to this one through a map of the two residual streams."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import Setting, check_path, check_words, distinct, require
from yapo.studies.base import Study, figure_files, table_files


@dataclass
class BetweenModelsConfig:
    """Vectors of another study, of the same data on another model. Maps are learned on the training questions and answers."""

    source: str = ""  # folder of that study's results, as results/other/embedded
    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["caa", "sas", "bipo", "yapo"])  # the experiment may lack some
    setting: Setting = "nonlocalized"  # of the vectors and of the questions
    texts: int = 1000  # training questions with answers, at most, that a country's maps are learned on

    def __post_init__(self) -> None:
        key = "studies.between_models."
        check_path(key + "source", self.source)
        distinct(key + "countries", self.countries)
        distinct(key + "methods", self.methods)
        check_words("studies.between_models", self)
        require(self.texts > 0, key + "texts", self.texts, "at least 1")


STUDY = Study(
    title="Transfer between models",
    files=[*table_files("between_models"), *figure_files("between_models")],
    rows=["between_models"],
    vectors=lambda config: [(task, config.studies.between_models.setting) for task in config.tasks],
    takes=("evaluation",),
    setting_keys=("studies.between_models.setting",),
    kind="directions",
    method_keys=("studies.between_models.methods",),
    needs=("studies.between_models.source",),
)
