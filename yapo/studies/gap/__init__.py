"""The localization gap before any steering: is there something to steer towards?"""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.studies.base import Study, figure_files, table_files


@dataclass
class GapConfig:
    """The unsteered model's answers to training and validation questions, in both forms."""

    countries: list[str] = field(default_factory=list)


STUDY = Study(title="The localization gap before steering", files=[*table_files("gap"), *figure_files("gap")], rows=["gap"])
