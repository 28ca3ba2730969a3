"""Side effects: what the vectors cost elsewhere, for each point that they gain."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.studies.base import Study, figure_files, table_files


@dataclass
class SideEffectsConfig:
    """Countries to steer towards. Vectors, and questions asked by lm-eval, are settings of ``knowledge``."""

    countries: list[str] = field(default_factory=list)


STUDY = Study(
    title="Side effects",
    files=[*table_files("side_effects"), *figure_files("side_effects")],
    rows=["side_effects"],
    vectors=lambda config: [(config.knowledge.vector_task, config.knowledge.vector_setting)],
    task_keys=("knowledge.vector_task",),
    setting_keys=("knowledge.vector_setting",),
)
