"""Vectors of one country on the questions of another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yapo.checks import IMPORTED, VARIANTS, Setting, distinct, require
from yapo.studies.base import Study, figure_files, table_files

if TYPE_CHECKING:
    from yapo.config import Config


@dataclass
class TransferConfig:
    """Vectors of one country on the questions of another, and of all countries of a language but one on the one left out."""

    countries: list[str] = field(default_factory=list)
    setting: Setting = "nonlocalized"  # the questions that the vectors were trained on
    cross_language_facts: int | None = 16  # test facts on which a vector of another language is tried; null: all
    left_out_methods: list[str] = field(default_factory=lambda: ["caa", "sas", "bipo", "yapo"])  # the experiment may lack some

    def __post_init__(self) -> None:
        key = "studies.transfer."
        distinct(key + "left_out_methods", self.left_out_methods)
        learns = IMPORTED not in self.left_out_methods
        require(learns, key + "left_out_methods", IMPORTED, "it learns from no pairs, so that none can be left out; leave it out")
        few = self.cross_language_facts is None or self.cross_language_facts >= 0
        require(few, key + "cross_language_facts", self.cross_language_facts, "0 (no other languages) or more, or null for all")


STUDY = Study(
    title="Transfer between countries",
    files=lambda config: [*table_files("transfer", "transfer_pairs"), *figure_files(*_figures(config))],
    rows=["transfer"],
    setting_keys=("studies.transfer.setting",),
    kind="directions",
    method_keys=("studies.transfer.left_out_methods",),
)


def _figures(config: Config) -> list[str]:
    kinds = [f"{kind}_{variant}" for kind in ("relations", "answers") for variant in VARIANTS]
    return [f"transfer_{name}" for name in [*config.methods, *kinds]]
