"""Log-probabilities of answers as plainly as can be: each answer in a sequence of its own, without a cache."""

from __future__ import annotations

from collections.abc import Sequence

from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel
from yapo.steering.pair_batch import TokenOptions

from .plain_decoding import steered_logits


def answer_log_probs(
    lm: LanguageModel, layer: int, questions: Sequence[TokenOptions], conditions: Sequence[Condition]
) -> list[list[list[float]]]:
    """Return log p(answer | prompt), ``[condition][question][answer]``; see ``yapo.evaluation.likelihood``."""
    return [
        [[_log_prob(lm, layer, question.prompt, answer, condition) for answer in question.answers] for question in questions]
        for condition in conditions
    ]


def _log_prob(lm: LanguageModel, layer: int, prompt: list[int], answer: list[int], condition: Condition) -> float:
    log_probs = steered_logits(lm, layer, prompt, answer, condition).log_softmax(dim=-1)[len(prompt) - 1 : -1]
    return float(log_probs[range(len(answer)), answer].sum())
