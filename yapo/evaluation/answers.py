"""Answers to some items under several conditions, scored; the studies around the tables ask through this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from yapo.config import GenerationConfig
from yapo.data.prompts import PromptFormat
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import Judge
from yapo.evaluation.scoring import judge_requests, score


@dataclass(frozen=True)
class Answerer:
    """Asks and scores as ``Evaluator`` does, whatever the items.

    Attributes:
        cache: generates, and keeps, completions.
    """

    prompts: PromptFormat
    generation: GenerationConfig
    judge: Judge
    cache: CompletionCache

    def ask(self, items: pd.DataFrame, task: str, conditions: Sequence[Condition]) -> list[pd.DataFrame]:
        """For each condition the items, in their order and numbered from 0, with ``completion, score, parsed, exact``.

        Args:
            items: items of the schema of ``yapo.data.schema``, at least one.
            task: mcq or open_ended.
            conditions: ways to answer; they share the forward passes below the steered layer.
        """
        items = items.reset_index(drop=True)
        written = self.cache.complete(self.token_ids(items, task), conditions, self.generation.max_new_tokens(task))
        if task == "open_ended":  # all at once, so that a judge behind a network works on many together
            self.judge.judge([request for texts in written for request in judge_requests(items, texts)])
        return [pd.concat([items, score(items, texts, task, self.judge)], axis=1) for texts in written]

    def token_ids(self, items: pd.DataFrame, task: str) -> list[list[int]]:
        """The prompts of items as the model reads them."""
        return [self.cache.lm.tokenizer.prompt(text) for text in self.prompts.prompts(task, items)]
