"""Completions of items under several conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import pandas as pd
from tqdm import tqdm

from yapo.checks import Task
from yapo.config import GenerationConfig
from yapo.data.prompts import PromptFormat
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.options import OptionAnswers
from yapo.evaluation.preamble import NO_PREAMBLE, Preamble

BATCHES = 4  # between two saves of unsteered completions


@dataclass(frozen=True)
class Completer:
    """Asks items under conditions.

    Attributes:
        cache: generates, and keeps, completions.
        preamble: stands before every question.
    """

    prompts: PromptFormat
    generation: GenerationConfig
    cache: CompletionCache
    preamble: Preamble = field(default=NO_PREAMBLE, kw_only=True)

    def behind(self, preamble: Preamble) -> Self:
        """Return the same with something else before every question."""
        return replace(self, preamble=preamble)

    def complete(self, items: pd.DataFrame, task: Task, conditions: Sequence[Condition]) -> list[list[str]]:
        """Return the completions of items, ``[condition][item]``: multiple choice by the first of ``generation.mcq``."""
        if self.generation.by_likelihood(task):
            options = OptionAnswers.of(items, self.prompts, self.cache.lm.tokenizer, self.generation.likelihood, self.preamble)
            return self.cache.choose(options, conditions)
        return self.cache.complete(self.token_ids(items, task), conditions, self.generation.max_new_tokens(task))

    def unsteered(self, items: pd.DataFrame, task: Task, title: str) -> list[str]:
        """Return the unsteered completions, saved as they come, so that an interrupted run goes on where it was.

        Args:
            items: items of the schema of ``yapo.data.schema``.
            task: mcq or open_ended.
            title: of the progress bar.
        """
        written: list[str] = []
        size = BATCHES * self.cache.batch_size
        for start in tqdm(range(0, len(items), size), desc=title, disable=None):
            written += self.complete(items.iloc[start : start + size], task, [Condition()])[0]
            self.cache.checkpoint()
        return written

    def token_ids(self, items: pd.DataFrame, task: Task) -> list[list[int]]:
        """Return the prompts of items as the model reads them."""
        return [self.preamble.prompt(self.cache.lm.tokenizer, text) for text in self.prompts.prompts(task, items)]
