"""How far steering moves the model, on questions with the unsteered model's own answers.

They are texts that the unsteered model holds likely, so that a divergence there is one that a user would meet, and they need no
gold answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from yapo.checks import Task
from yapo.evaluation.decoding import Condition
from yapo.evaluation.divergence import percentile, token_divergences
from yapo.evaluation.options import chosen_texts
from yapo.evaluation.scoring import Answerer
from yapo.steering.pair_batch import TokenOptions

QUESTIONS = 32  # that are measured, at most, evenly from those given


@dataclass(frozen=True)
class OwnAnswers:
    """Questions with the unsteered model's answers, the end of the turn included.

    Attributes:
        answerer: answered them.
        texts: prompts, each with its answer.
    """

    answerer: Answerer
    texts: Sequence[TokenOptions]

    @classmethod
    def of(cls, answerer: Answerer, questions: pd.DataFrame, task: Task) -> OwnAnswers:
        """Answer at most ``QUESTIONS`` of the questions, which are items of the schema of ``yapo.data.schema``."""
        places = np.unique(np.linspace(0, len(questions) - 1, QUESTIONS).round().astype(int))
        asked = questions.iloc[places].reset_index(drop=True)
        form = answerer.generation.form(task)
        (completions,) = answerer.complete(asked, task, [Condition()])
        answers = completions if form == task else chosen_texts(asked, completions)
        tokenizer = answerer.cache.lm.tokenizer
        prompts = map(tokenizer.prompt, answerer.prompts.prompts(form, asked))
        return cls(answerer, [TokenOptions(p, (tokenizer.response(a),)) for p, a in zip(prompts, answers, strict=True)])

    def divergences(self, conditions: Sequence[Condition]) -> list[float]:
        """Return the 95th percentile over tokens of KL(steered ‖ unsteered) under each condition, in nats."""
        cache = self.answerer.cache
        found = token_divergences(cache.lm, cache.layer, self.texts, conditions, cache.batch_size)
        return [percentile(part) for part in found]
