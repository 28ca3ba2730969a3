"""Where a study keeps its files, and which settings each stage reads. Shared by the stages and the Snakefile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapo.config import Config
from yapo.errors import unknown
from yapo.files import file_digest

PACKAGE = Path(__file__).resolve().parents[1]

# What puts questions to the model and scores its answers.
ANSWERS = (
    "data/prompts.py",
    "evaluation/generate.py",
    "evaluation/judges",
    "evaluation/mcq.py",
    "evaluation/scoring.py",
    "models",
    "steering/codes.py",
    "steering/intervention.py",
)
STORE = ("steering/objective.py", "steering/store.py", "steering/tree.py", "tensors.py")

# What decides each stage's result: configuration keys, and the modules that do the work (a change to either reruns it).
READS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "data": (("data", "split"), ("data", "stages/data.py")),
    "layer": (
        ("data", "prompts", "model", "sae", "discovery", "generation", "judge", "tasks"),
        ("discovery", *ANSWERS, *STORE, "stages/layer.py"),
    ),
    "prepare": (
        ("prompts", "model", "sae", "generation", "judge", "tasks"),
        ("data/pairs.py", "steering/prepare.py", *ANSWERS, *STORE, "stages/prepare.py"),
    ),
    "train": (
        ("model", "sae", "method", "train", "tasks", "settings"),
        ("steering", "models", "tensors.py", "stages/train.py"),
    ),
    "evaluate": (
        ("prompts", "model", "sae", "generation", "selection", "judge", "tasks", "settings", "methods"),
        ("evaluation", *ANSWERS, "steering/vector.py", "tensors.py", "stages/evaluate.py"),
    ),
    "report": (
        ("report", "judge", "methods"),
        (
            "reporting",
            "evaluation/bootstrap.py",
            "evaluation/judges",
            "evaluation/metrics.py",
            "stages/figures.py",
            "stages/tables.py",
        ),
    ),
}


@dataclass(frozen=True)
class Study:
    """Paths of one study, all under ``results/<experiment>``."""

    root: Path

    @classmethod
    def of(cls, config: Config) -> Study:
        """The study a configuration belongs to."""
        return cls(config.study)

    @property
    def items(self) -> Path:
        """All items of the data source."""
        return self.root / "data" / "items.parquet"

    @property
    def split(self) -> Path:
        """Which split each fact belongs to."""
        return self.root / "data" / "split.parquet"

    @property
    def leakage(self) -> Path:
        """Evidence that no fact stands on two sides."""
        return self.root / "data" / "leakage.json"

    @property
    def data_report(self) -> Path:
        """What became of the rows of a source that drops some; not there for the others."""
        return self.root / "data" / "report.json"

    @property
    def layer(self) -> Path:
        """The layer found, and both curves."""
        return self.root / "layer.json"

    def country(self, language: str, country: str) -> Path:
        """The folder of one country."""
        return self.root / language / country

    def store(self, language: str, country: str, task: str) -> Path:
        """Activations and reference log-probabilities of a country's preference pairs."""
        return self.country(language, country) / "prepared" / f"{task}.safetensors"

    def pairs(self, language: str, country: str, task: str) -> Path:
        """The preference pairs as text."""
        return self.country(language, country) / "pairs" / f"{task}.parquet"

    def trained(self, language: str, country: str, method: str) -> Path:
        """Folder of one method's vectors after every epoch, with their curves."""
        return self.country(language, country) / "train" / method

    def vector(self, language: str, country: str, method: str, task: str, setting: str) -> Path:
        """The vector chosen on validation."""
        return self.country(language, country) / "vectors" / method / f"{task}-{setting}.safetensors"

    def validation(self, language: str, country: str) -> Path:
        """The whole grid on validation."""
        return self.country(language, country) / "validation.parquet"

    def evaluation(self, language: str, country: str) -> Path:
        """Every test answer."""
        return self.country(language, country) / "evaluation.parquet"


def spec(stage: str, config: dict[str, Any]) -> str:
    """What a stage's result depends on beside its input files, as canonical JSON: its settings and a digest of its code."""
    keys, modules = READS[stage]
    settings = {key: config[key] for key in keys}
    files = [file for module in modules for file in _sources(PACKAGE / module)]
    return json.dumps({**settings, "code": file_digest(*files)}, sort_keys=True, ensure_ascii=False)


def _sources(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def countries_of(config: Config, known: dict[str, str]) -> dict[str, str]:
    """The countries of this study and their language (lower case), in the data's order.

    Raises:
        YapoError: a configured country is not in the data.
    """
    for country in config.countries:
        check_country(country, known)
    return {c: language for c, language in known.items() if not config.countries or c in config.countries}


def check_country(country: str, known: Sequence[str] | dict[str, str]) -> None:
    """Refuse a country the data does not have."""
    if country not in known:
        raise unknown("country", "country", country, known)
