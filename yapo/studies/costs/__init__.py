"""Cost of each method beside its quality: arithmetic, sizes, and measured seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from yapo.checks import Setting
from yapo.studies.base import Study, table_files


@dataclass
class CostsConfig:
    """Countries on whose pairs each method is fitted once more, on a sample, to count its arithmetic."""

    countries: list[str] = field(default_factory=list)


def counted_setting(settings: Sequence[Setting]) -> Setting:
    """Return the setting whose vectors are counted: non-localized questions, or else the first."""
    return "nonlocalized" if "nonlocalized" in settings else settings[0]


MEASURED = ("logs/costs.csv", "logs/costs.md")  # beside the logs: seconds are never the same twice

STUDY = Study(
    title="What each method costs",
    files=[*table_files("costs"), *MEASURED],
    rows=lambda config: [f"costs_{method}" for method in (*config.methods, *config.adapters.rows)],
    minutes=60,
)
