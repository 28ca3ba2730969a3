"""General knowledge of the steered model."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.studies.base import Study, figure_files, table_files


@dataclass
class KnowledgeStudyConfig:
    """Countries to steer towards while general knowledge is asked for; the questions are settings of ``knowledge``."""

    countries: list[str] = field(default_factory=list)


STUDY = Study(
    title="General knowledge",
    files=[*table_files("knowledge"), *figure_files("knowledge")],
    rows=["knowledge"],
    task_keys=("knowledge.vector_task",),
    setting_keys=("knowledge.vector_setting",),
)
