"""Paths of every file of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.config.curation import Step


def imported_vector(pattern: str, country: str, task: Task, setting: Setting) -> Path:
    """Return the file of a vector for the method imported; COUNTRY, TASK and SETTING in the pattern stand for what it is for."""
    return Path(pattern.replace("COUNTRY", country).replace("TASK", task).replace("SETTING", setting))


@dataclass(frozen=True)
class Paths:
    """Paths of one study, all under ``results/<experiment>``."""

    root: Path

    @classmethod
    def of(cls, config: Config) -> Paths:
        """Return the paths of the study that a configuration describes."""
        return cls(config.folder)

    @property
    def items(self) -> Path:
        """All items of the data source."""
        return self.root / "data" / "items.parquet"

    @property
    def split(self) -> Path:
        """Split of each fact."""
        return self.root / "data" / "split.parquet"

    @property
    def leakage(self) -> Path:
        """Evidence that no fact stands on two sides."""
        return self.root / "data" / "leakage.json"

    @property
    def data_report(self) -> Path:
        """Report on dropped rows, for sources that drop some."""
        return self.root / "data" / "report.json"

    @property
    def forms(self) -> Path:
        """Questions without their country, proposed for a person to read."""
        return self.root / "data" / "forms.csv"

    @property
    def preferences(self) -> Path:
        """Folder of preference files made of a published set."""
        return self.root / "preferences"

    @property
    def curation(self) -> CurationPaths:
        """Files of curation."""
        return CurationPaths(self.root / "curation")

    @property
    def download(self) -> Path:
        """Record of downloads from the hub; absent if there are none."""
        return self.root / "download.json"

    def sae(self, layer: int) -> Path:
        """Folder of the autoencoder that the study trained for a layer; absent if it was given one."""
        return self.root / "sae" / f"layer_{layer}"

    @property
    def layer(self) -> Path:
        """The layer found, and both curves."""
        return self.root / "layer.json"

    def country(self, language_folder: str, country: str) -> Path:
        """The folder of one country."""
        return self.root / language_folder / country

    def store(self, language_folder: str, country: str, task: Task) -> Path:
        """Activations and reference log-probabilities of a country's preference pairs."""
        return self.country(language_folder, country) / "prepared" / f"{task}.safetensors"

    def pairs(self, language_folder: str, country: str, task: Task) -> Path:
        """The preference pairs as text."""
        return self.country(language_folder, country) / "pairs" / f"{task}.parquet"

    def answers(self, language_folder: str, country: str) -> Path:
        """The unsteered model's own answers to training and validation questions."""
        return self.country(language_folder, country) / "pairs" / "answers.json"

    def trained(self, language_folder: str, country: str, method: str) -> Path:
        """Folder of one method's vectors after every epoch, with their curves."""
        return self.country(language_folder, country) / "train" / method

    def spent(self, language_folder: str, country: str, method: str) -> Path:
        """Seconds and memory of one method's training: beside its log, since they are never the same twice."""
        return self.root / "logs" / "train" / f"{language_folder}-{country}-{method}.json"

    def vector(self, language_folder: str, country: str, method: str, task: Task, setting: Setting) -> Path:
        """The vector chosen on validation."""
        return self.country(language_folder, country) / "vectors" / method / f"{task}-{setting}.safetensors"

    def portable(self, language_folder: str, country: str, method: str, task: Task, setting: Setting) -> Path:
        """The chosen vector, free of the autoencoder."""
        return self.country(language_folder, country) / "portable" / method / f"{task}-{setting}.safetensors"

    def portable_scores(self, language_folder: str, country: str) -> Path:
        """Validation scores of each form of a sparse vector."""
        return self.country(language_folder, country) / "portable" / "validation.parquet"

    def judged(self, language_folder: str, country: str) -> Path:
        """Report of the judge: requests and cost."""
        return self.country(language_folder, country) / "judge.json"

    def study_rows(self, name: str, language_folder: str, country: str) -> Path:
        """Rows of one of the studies around the tables, for one country."""
        return self.country(language_folder, country) / "studies" / f"{name}.parquet"

    def ablation_sae(self, variant: str) -> Path:
        """Folder of the autoencoder that a variant of the ablations trains."""
        return self.root / "studies" / "ablations" / variant

    def finding(self, name: str) -> Path:
        """Finding of a study, for the report."""
        return self.root / "studies" / f"{name}.json"

    def validation(self, language_folder: str, country: str) -> Path:
        """The whole grid on validation."""
        return self.country(language_folder, country) / "validation.parquet"

    def evaluation(self, language_folder: str, country: str, way: str = "") -> Path:
        """Every test answer; ``way``: those by another way to answer multiple choice than the first."""
        return self.country(language_folder, country) / f"evaluation{'-' if way else ''}{way}.parquet"


@dataclass(frozen=True)
class CurationPaths:
    """Paths of a benchmark that is made from seed questions, all under ``curation``."""

    root: Path

    def kept(self, step: Step) -> Path:
        """Candidates that are left after a step."""
        return self.root / "steps" / f"{step}.parquet"

    def dropped(self, step: Step) -> Path:
        """Candidates that a step drops, with reasons."""
        return self.root / "steps" / f"{step}_dropped.parquet"

    @property
    def replies(self) -> Path:
        """The generator's replies, which can be replayed as a recording."""
        return self.root / "replies.jsonl"

    @property
    def generation(self) -> Path:
        """Requests, tokens and cost of the generator."""
        return self.root / "generation.json"

    @property
    def pairs(self) -> Path:
        """Near-duplicate pairs, for review."""
        return self.root / "near_duplicates.csv"

    @property
    def items(self) -> Path:
        """The items, a table that a study can take."""
        return self.root / "items.parquet"

    @property
    def hub(self) -> Path:
        """Folder of the data set for the Hugging Face hub."""
        return self.root / "hub"

    @property
    def report(self) -> Path:
        """Page of the funnel."""
        return self.root / "funnel.html"

    @property
    def figure(self) -> Path:
        """Figure of the funnel, without its suffix."""
        return self.root / "figures" / "funnel"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.root / "tables"
