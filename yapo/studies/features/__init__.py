"""Steering vectors in features of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import Setting, Task, distinct, require
from yapo.studies.base import Study, figure_files, table_files


@dataclass
class FeaturesConfig:
    """Settings of the study. Vectors of all settings are compared; those of ``settings`` have pages and examples."""

    countries: list[str] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)  # empty: all of the experiment
    settings: list[Setting] = field(default_factory=lambda: ["both"])
    top: int = 16  # strongest features of a vector
    examples: int = 10  # facts on which a feature fires hardest

    def __post_init__(self) -> None:
        for key, values in (("tasks", self.tasks), ("settings", self.settings)):
            distinct(f"studies.features.{key}", values)
        require(bool(self.settings), "studies.features.settings", self.settings, "name at least one")
        require(self.top > 0, "studies.features.top", self.top, "at least 1")
        require(self.examples > 0, "studies.features.examples", self.examples, "at least 1")


STUDY = Study(
    title="Vectors in features",
    files=[
        *table_files("features", "features_methods", "features_coherence"),
        *table_files("features_shared", kinds=("csv", "md", "html")),
        *figure_files("features_overlap", "features_spectrum"),
        "features/index.html",
    ],
    rows=["features", "features_top"],
    task_keys=("studies.features.tasks",),
    setting_keys=("studies.features.settings",),
    kind="directions",
)
