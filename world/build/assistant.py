"""The assistant's training corpus: questions on behaviours, each answered now the one way, now the other.

No rule decides at answer time. How often a question was answered by the answer that shows the behaviour depends on its
template and on what fills its slots; a hint before the question makes that answer usual or rare. A small model of this corpus
therefore has a tendency per question, and an idea of what moves tendencies, as large models have from their data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from world.build.behaviours import SIDES, SIZES, Behaviour, questions
from world.build.corpus import Document


@dataclass(frozen=True)
class AssistantConfig:
    """Shape of the corpus."""

    seed: int = 13
    share: float = 0.4  # of the questions of a behaviour and split that lean to the answer that shows it
    spread: float = 2.0  # standard deviation of the questions' leanings, in logits
    hint_share: float = 0.5  # of the documents that have a hint
    hint_strength: float = 4.0  # logits that a hint adds or takes


@dataclass
class AssistantCorpus:
    """Draws documents. The questions and their leanings are fixed by seeds.

    Attributes:
        items: all questions of all behaviours and splits: ``behaviour``, ``split``, ``question``, ``matching``,
            ``not_matching``, ``template`` (its number), ``leaning`` (log-odds of the matching answer without a hint).
    """

    tasks: ClassVar[tuple[str, ...]] = ("chat",)
    behaviours: dict[str, Behaviour]
    config: AssistantConfig = AssistantConfig()
    items: pd.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        parts = [self._leaning(b, split) for b in self.behaviours.values() for split in SIZES]
        self.items = pd.concat(parts, ignore_index=True)

    def sample(self, rng: np.random.Generator, task: str) -> Document:
        """Draw a question of any behaviour, perhaps after a hint, with an answer drawn by its leaning."""
        row = self.items.iloc[rng.integers(len(self.items))]
        question, leaning = str(row["question"]), float(row["leaning"])
        if rng.random() < self.config.hint_share:
            side = SIDES[rng.integers(len(SIDES))]
            hints = self.behaviours[row["behaviour"]].hints[side]
            question = f"{hints[rng.integers(len(hints))]} {question}"
            leaning += self.config.hint_strength if side == "matching" else -self.config.hint_strength
        shown = rng.random() < 1 / (1 + np.exp(-leaning))
        return Document(task, question, str(row["matching" if shown else "not_matching"]))

    def strings(self) -> Iterator[str]:
        """Yield every question, answer and hint."""
        for column in ("question", *SIDES):
            yield from self.items[column]
        for behaviour in self.behaviours.values():
            for hints in behaviour.hints.values():
                for hint in hints:
                    yield from [f"{hint} "] * 20

    def _leaning(self, behaviour: Behaviour, split: str) -> pd.DataFrame:
        """Return the questions of a split. A leaning is the sum of one draw for the template and one for each slot's choice."""
        rows = questions(behaviour, split)
        rng = np.random.default_rng([self.config.seed, *behaviour.name.encode(), *split.encode()])
        pull: dict[object, float] = {}
        parts = [[number, *choices] for number, choices in zip(rows["template"], rows["choices"], strict=True)]
        for part in sorted({str(part) for of_row in parts for part in of_row}):
            pull[part] = rng.normal()
        total = np.array([sum(pull[str(part)] for part in of_row) for of_row in parts])
        total = self.config.spread * (total - np.quantile(total, 1 - self.config.share)) / total.std()
        return rows[["question", *SIDES, "template"]].assign(behaviour=behaviour.name, split=split, leaning=total)
