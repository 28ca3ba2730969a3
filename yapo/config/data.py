"""Items, prompts and splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yapo.checks import Role, check_path, check_seed, check_words, filled_template, require

Source = Literal[
    "atlas",
    "table",
    "deep_culture_lense",
    "localization_gap",
    "blend",
    "culturalbench",
    "normad",
    "include",
    "arabculture",
    "global_opinions",
    "care",
    "preferences",
    "regions",
]
# Sources whose questions are asked with options alone.
MULTIPLE_CHOICE: tuple[Source, ...] = ("localization_gap", "blend", "culturalbench", "normad", "include", "arabculture")
Licence = Literal[
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-4.0",
    "evaluation-only",
]
Forms = Literal["published", "both"]


@dataclass
class DataConfig:
    """Source of the items."""

    source: Source = "atlas"
    path: str = ""  # table: a parquet, csv or jsonl file of items; deep_culture_lense: a folder or hub id; others: a copy
    role: Role = "train"  # table: test allows evaluation only; published sets have theirs (docs/own-data.md)
    forms: Forms = "published"  # both: questions that all name their country get a form without it, from data.review
    review: str = ""  # forms=both: a copy of data/forms.csv with a decision in every row
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
            **dict.fromkeys(("blend", "culturalbench", "normad", "include", "arabculture", "care"), "needs a copy of the set"),
            "global_opinions": "needs a copy of global_opinions.csv",
            "preferences": "needs a folder that holds a folder for each behaviour",
        }
        require(self.source not in needs or bool(self.path), "data.path", self.path, needs.get(self.source, ""))
        check_path("data.review", self.review)
        require(not self.review or self.forms == "both", "data.review", self.review, "goes with data.forms=both; set it too")


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
