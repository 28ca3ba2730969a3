"""All methods at equal disturbance: λ such that each moves the model's next-token distributions equally far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import distinct, require
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config

LARGEST = 20.0  # nats; the divergence of two distributions over a large vocabulary hardly exceeds it


@dataclass
class EqualKlConfig:
    """Levels of the divergence at which methods are compared.

    A level is the 95th percentile of KL(steered ‖ unsteered) of the next token, in nats, over the unsteered model's answers to
    validation questions.
    """

    countries: list[str] = field(default_factory=list)
    levels: list[float] = field(default_factory=lambda: [1.0])

    def __post_init__(self) -> None:
        distinct("studies.equal_kl.levels", self.levels)
        require(bool(self.levels), "studies.equal_kl.levels", self.levels, "name at least one")
        for level in self.levels:
            require(0 < level <= LARGEST, "studies.equal_kl.levels", level, f"above 0 and up to {LARGEST:g} nats")


def view_suffix(level: float) -> str:
    """Return the end of the names of tables at a level, such as ``_kl_1``."""
    return f"_kl_{level:g}"


VIEWS = ("summary", "table1_mcq", "table2_open_ended", "table3_rca_pnlg_language", "table5_rca_pnlg_country")


def _files(config: Config) -> list[str]:
    views = [f"{table}{view_suffix(level)}" for level in config.studies.equal_kl.levels for table in VIEWS]
    return [*table_files("equal_kl", *views), *figure_files("overview")]


STUDY = Study(
    title="All methods at equal disturbance",
    files=_files,
    rows=["equal_kl", "equal_kl_multipliers"],
    vectors=lambda config: [(task, setting) for task in config.tasks for setting in config.settings],
    takes=("evaluation", "validation"),
)
