"""Behaviours other than culture, steered both ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from yapo.checks import check_path, require
from yapo.studies.base import Study, figure_files, table_files

SelectBy = Literal["grade", "preferred"]


@dataclass
class BehavioursConfig:
    """Behaviours other than culture, from preference files, steered both ways."""

    folder: str = "world/behaviours"  # holds a folder for each, with train.csv and perhaps test.csv
    multipliers: list[float] = field(default_factory=lambda: [0.5, 1.0, 1.5, 2.0])  # |λ|, chosen on validation
    # What epoch and |λ| are chosen by: the grade of written answers, or the share of questions whose answer that shows the
    # behaviour is the likelier one. The second needs no decoding, and tells more where the offline judge tells little.
    select_by: SelectBy = "grade"
    overrides: list[str] = field(default_factory=list)  # differences from the experiment, as typed on a command line

    def __post_init__(self) -> None:
        check_path("studies.behaviours.folder", self.folder)
        require(1.0 in self.multipliers, "studies.behaviours.multipliers", self.multipliers, "must contain 1.0")
        require(min(self.multipliers) > 0, "studies.behaviours.multipliers", self.multipliers, "above 0: both signs are tried")


STUDY = Study(
    title="Behaviours other than culture",
    files=[*table_files("behaviours"), *figure_files("behaviours")],
    rows=[],
)
