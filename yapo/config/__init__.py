"""Every setting of a study, with its type, default and meaning. Values come from ``conf/`` (one folder per group).

The library takes these plain dataclasses; only the stages know that Hydra fills them in. Nothing heavy is imported here,
so a wrong key or an impossible value is refused before any model loads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yapo.checks import (
    SETTINGS,
    SPLITS,
    TASKS,
    VARIANTS,
    Setting,
    Task,
    check_path,
    check_settings_finite,
    check_words,
    distinct,
    require,
)
from yapo.config.adapters import AdaptersConfig
from yapo.config.controls import ControlsConfig
from yapo.config.curation import CurationConfig
from yapo.config.data import MULTIPLE_CHOICE, DataConfig, PromptConfig, SplitConfig
from yapo.config.evaluation import JUDGE_MEANS, GenerationConfig, JudgeConfig, KnowledgeConfig, McqWay, ReportConfig
from yapo.config.models import ModelConfig, SaeConfig, SaeTrainConfig
from yapo.config.steering import DiscoveryConfig, MethodConfig, PortableConfig, SelectionConfig, StoreConfig, TrainConfig
from yapo.names import check_experiment, check_key, place_key
from yapo.steering.methods.dspa.options import DspaSettings
from yapo.studies.registry import StudiesConfig

__all__ = [
    "AdaptersConfig",
    "Config",
    "ControlsConfig",
    "CurationConfig",
    "DataConfig",
    "DiscoveryConfig",
    "DspaSettings",
    "GenerationConfig",
    "JUDGE_MEANS",
    "JudgeConfig",
    "KnowledgeConfig",
    "MethodConfig",
    "ModelConfig",
    "PortableConfig",
    "PromptConfig",
    "ReportConfig",
    "SETTINGS",
    "SPLITS",
    "SaeConfig",
    "SaeTrainConfig",
    "SelectionConfig",
    "SplitConfig",
    "StudiesConfig",
    "StoreConfig",
    "TASKS",
    "TrainConfig",
    "VARIANTS",
]


@dataclass
class Config:
    """One study. ``country`` and ``method`` matter to the stages that work on one of each.

    With ``region``, ``country`` becomes the place of that region, ``morocco.north``, which may be typed as such.
    """

    experiment: str = "embedded"
    results: str = "results"
    country: str = "egypt"
    region: str = ""  # of the country, where the data tell regions apart
    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["caa", "sas", "bipo", "yapo", "dspa"])
    tasks: list[Task] = field(default_factory=lambda: list(TASKS))
    settings: list[Setting] = field(default_factory=lambda: list(SETTINGS))
    threads: int = 1
    keep_activations: bool = True  # False deletes a country's activations once its vectors are trained
    data: DataConfig = field(default_factory=DataConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    controls: ControlsConfig = field(default_factory=ControlsConfig)
    adapters: AdaptersConfig = field(default_factory=AdaptersConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    sae: SaeConfig = field(default_factory=SaeConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    learning_rate: dict[str, float] = field(default_factory=dict)  # by method, where an experiment tuned them; see train.lr
    method_options: dict[str, dict[str, Any]] = field(default_factory=dict)  # likewise; before method.options
    dspa: DspaSettings = field(default_factory=DspaSettings)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    portable: PortableConfig = field(default_factory=PortableConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    knowledge: KnowledgeConfig = field(default_factory=KnowledgeConfig)
    curation: CurationConfig = field(default_factory=CurationConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    studies: StudiesConfig = field(default_factory=StudiesConfig)

    def __post_init__(self) -> None:
        check_experiment(self.experiment)
        require(bool(self.results), "results", self.results, "name a folder")
        choices_only = self.data.source not in MULTIPLE_CHOICE or "open_ended" not in self.tasks
        require(choices_only, "tasks", self.tasks, f"give [mcq]: {self.data.source} asks multiple-choice questions only")
        for key, path in (
            ("results", self.results),
            ("data.path", self.data.path),
            ("model.path", self.model.path),
            ("sae.path", self.sae.path),
        ):
            check_path(key, path)
        check_settings_finite("", self)
        for key, values in (("methods", self.methods), ("tasks", self.tasks), ("settings", self.settings)):
            require(bool(values), key, values, "name at least one")
            require(len(set(values)) == len(values), key, values, "name each once")
        distinct("countries", self.countries)
        if self.region:
            require("." not in self.country, "region", self.region, f"country={self.country} names one too; give one of the two")
            self.country, self.region = place_key(self.country, check_key(self.region, "region")), ""
        require(self.threads > 0, "threads", self.threads, "at least 1")
        check_words("", self)

    @property
    def other_ways(self) -> list[McqWay]:
        """Ways to answer multiple choice beside the first, where it is asked."""
        return self.generation.mcq[1:] if "mcq" in self.tasks else []

    @property
    def folder(self) -> Path:
        """The folder that holds everything this study writes."""
        return Path(self.results) / self.experiment
