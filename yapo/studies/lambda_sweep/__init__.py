"""Sweep of λ: every method on one grid of multipliers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import Setting, distinct, require
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config


@dataclass
class LambdaSweepConfig:
    """Settings of the λ sweep; ``settings`` names the questions that its vectors were trained on."""

    countries: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=lambda: ["both", "nonlocalized"])
    multipliers: list[float] = field(default_factory=lambda: [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])

    def __post_init__(self) -> None:
        distinct("studies.lambda_sweep.settings", self.settings)
        require(bool(self.settings), "studies.lambda_sweep.settings", self.settings, "name at least one")
        distinct("studies.lambda_sweep.multipliers", self.multipliers)
        require(
            0.0 in self.multipliers, "studies.lambda_sweep.multipliers", self.multipliers, "must contain 0, the unsteered model"
        )


STUDY = Study(
    title="All multipliers",
    files=lambda config: [*table_files("lambda_sweep"), *figure_files(*_figures(config))],
    rows=["lambda_sweep"],
    vectors=lambda config: [(task, setting) for task in config.tasks for setting in config.studies.lambda_sweep.settings],
    setting_keys=("studies.lambda_sweep.settings",),
)


def _figures(config: Config) -> list[str]:
    return [f"lambda_sweep_{setting}{over}" for setting in config.studies.lambda_sweep.settings for over in ("", "_displacement")]
