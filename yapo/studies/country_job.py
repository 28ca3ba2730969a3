"""One country's job that steers the model: its questions, the model and the chosen vectors, opened in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from yapo.checks import Setting, Split, Task
from yapo.config import Config
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.displacement import CONTROL_PROMPTS, Residual, random_control
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.paths import Paths
from yapo.stages.inputs import language_folder_of, read_items, read_layer
from yapo.stages.vectors import ChosenVector, VectorReader


@dataclass(frozen=True)
class CountryJob:
    """The country that ``config.country`` names, ready to be steered.

    Attributes:
        items: its items with a column ``split``.
        layer: the steered layer.
    """

    config: Config
    items: pd.DataFrame
    layer: int
    lm: LanguageModel
    reader: VectorReader

    @classmethod
    def open(cls, config: Config) -> CountryJob:
        """Read the items and load the model."""
        layer, items = read_layer(config), read_items(config, config.country)
        lm = load_language_model(config.model)
        return cls(config, items, layer, lm, VectorReader(config, lm, layer))

    @property
    def language_folder(self) -> str:
        """The folder of the country's language."""
        return language_folder_of(self.items)

    @property
    def labels(self) -> dict[str, str]:
        """Columns that say whose rows these are."""
        return {"language": str(self.items["language"].iloc[0]), "country": self.config.country}

    def rows(self, name: str) -> Path:
        """Return the file of the rows called ``name``."""
        return Paths.of(self.config).study_rows(name, self.language_folder, self.config.country)

    def cache(self, name: str) -> CompletionCache:
        """Return the cache of completions beside the rows called ``name``."""
        path = self.rows(name).with_suffix(".completions.json")
        return CompletionCache(path, self.lm, self.layer, self.config.model.batch_size)

    def vectors(self, task: Task, setting: Setting) -> dict[str, ChosenVector]:
        """Read the vector that validation chose, of every method."""
        place = (self.language_folder, self.config.country)
        return {method: self.reader.read(*place, method, task, setting) for method in self.config.methods}

    def questions(self, split: Split, setting: Setting) -> pd.DataFrame:
        """Return the items of a split that are in the form of a setting."""
        items = self.items[self.items["split"] == split]
        return items if setting == "both" else items[items["variant"] == setting]

    def control(self, prompts: Sequence[list[int]], steered: Iterable[Condition]) -> Condition:
        """Return the random direction that moves the first of some prompts as far as the strongest of these conditions does."""
        residual = Residual.of(self.lm, self.layer, prompts[:CONTROL_PROMPTS])
        return random_control(map(residual.displacement, steered), self.lm.d_model, self.config.data.seed)
