"""Items, prompts and splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yapo.checks import check_seed, check_words, filled_template, require

Source = Literal["atlas", "table", "deep_culture_lense", "localization_gap", "preferences"]


@dataclass
class DataConfig:
    """Source of the items."""

    source: Source = "atlas"
    path: str = (
        ""  # table: a parquet, csv or jsonl file of items; deep_culture_lense: a folder or hub id; localization_gap: its csv
    )
    revision: str = ""  # deep_culture_lense on the hub: commit, branch or tag; empty is the newest
    max_dropped: float = 0.05  # deep_culture_lense: share of a country's rows that may be lost before the data are refused
    seed: int = 0  # order of the options

    def __post_init__(self) -> None:
        check_words("data", self)
        check_seed("data.seed", self.seed)
        require(0 <= self.max_dropped < 1, "data.max_dropped", self.max_dropped, "a share from 0, below 1")
        needs = {
            "table": "a table source needs a file",
            "deep_culture_lense": "needs a folder with a copy, or a hub id",
            "localization_gap": "needs a copy of 5choice_dataset_input_ready.csv",
            "preferences": "needs a folder that holds a folder for each behaviour",
        }
        require(self.source not in needs or bool(self.path), "data.path", self.path, needs.get(self.source, ""))


@dataclass
class PromptConfig:
    """Templates; see ``yapo.data.prompts``."""

    mcq: str = "{options}\n{question}"
    option: str = "{k}) {option}"
    open_ended: str = "{question}"
    boxed: str = "\\boxed{{{k}}}"

    def __post_init__(self) -> None:
        filled_template("prompts.mcq", self.mcq, question="Q", options="O")
        filled_template("prompts.option", self.option, k="1", option="O")
        filled_template("prompts.open_ended", self.open_ended, question="Q")
        for k in ("1", "2"):
            right = f"\\boxed{{{k}}}"
            filled = filled_template("prompts.boxed", self.boxed, k=k)
            require(right in filled, "prompts.boxed", self.boxed, f"must write {right} for k={k}, which evaluation reads")


@dataclass
class SplitConfig:
    """Shares of the facts; what is left after train and validation is test."""

    seed: int = 0
    train: float = 0.5
    validation: float = 0.2

    def __post_init__(self) -> None:
        check_seed("split.seed", self.seed)
        require(0 < self.train < 1, "split.train", self.train, "a share between 0 and 1")
        require(0 < self.validation < 1, "split.validation", self.validation, "a share between 0 and 1")
        require(self.train + self.validation < 1, "split", self.train + self.validation, "nothing is left for test")
