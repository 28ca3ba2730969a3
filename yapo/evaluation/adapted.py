"""Evaluate adapters of the weights as vectors are: epoch and λ chosen on validation, the same prompts, decoding and tests.

Conditions under different weights share no forward pass, so that each is asked on its own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from yapo.checks import Task
from yapo.evaluation.country import Evaluator, score_summary
from yapo.evaluation.decoding import Condition
from yapo.evaluation.selection import Key, Trial, choose
from yapo.steering.lora.adapter import Adapter


@dataclass(frozen=True)
class AdaptedEvaluator:
    """Evaluation of one country's adapters.

    Attributes:
        evaluator: of the country.
        candidates: the adapter after each epoch, by kind, task and setting.
    """

    evaluator: Evaluator
    candidates: Mapping[Key, Sequence[Adapter]]

    def select(self, multipliers: Sequence[float]) -> tuple[dict[Key, Trial], pd.DataFrame]:
        """Choose epoch and λ of every adapter on validation; see ``selection.choose``."""

        def measure(trials: list[Trial]) -> pd.DataFrame:
            return pd.DataFrame([score_summary(self._answered(trial, "validation")) for trial in trials])

        return choose({key: len(epochs) for key, epochs in self.candidates.items()}, multipliers, measure)

    def test(self, chosen: Mapping[Key, Trial], tasks: Sequence[Task]) -> pd.DataFrame:
        """Answer the test items of some tasks under every chosen adapter; rows as ``Evaluator.test`` returns."""
        frames = []
        for (method, task, setting), trial in chosen.items():
            if task in tasks:
                named = {"method": method, "task": task, "setting": setting}
                rows = self._answered(trial, "test").assign(**named)
                frames.append(rows.assign(multiplier=trial.multiplier, epoch=trial.epoch))
        return pd.concat(frames, ignore_index=True)

    def _answered(self, trial: Trial, split: Literal["validation", "test"]) -> pd.DataFrame:
        """Answer the items of a split under one adapter; one scored row per item."""
        _, task, setting = trial.key
        with self.candidates[trial.key][trial.epoch - 1].applied(self.evaluator.lm, trial.multiplier) as lm:
            cache = copy.copy(self.evaluator.cache)  # the same completions, under keys that tell the weights apart
            cache.lm = lm
            adapted = replace(self.evaluator, lm=lm, cache=cache)
            ask = adapted.validate if split == "validation" else adapted.tested
            return ask([(task, setting, Condition())])[0]
