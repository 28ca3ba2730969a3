"""Log-probabilities of answers to questions under many steering conditions: multiple choice without decoding.

    log p(a | x) = Σ_t log p(a_t | x, a_1 .. a_{t-1}),    x and a steered as decoding steers a prompt and what follows

The blocks above the steered layer run once per (condition, question), the last one and the head only where an answer is
predicted (``yapo.evaluation.steered_states``). ``tests/evaluation/test_likelihood.py`` holds it equal to running each answer as
a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from yapo.evaluation.decoding.conditions import Condition
from yapo.evaluation.steered_states import steered_states
from yapo.models.language_model import LanguageModel
from yapo.steering.pair_batch import TokenOptions, summed_log_probs


@torch.inference_mode()
def answer_log_probs(
    lm: LanguageModel, layer: int, questions: Sequence[TokenOptions], conditions: Sequence[Condition], rows: int
) -> list[list[list[float]]]:
    """Return the log-probability of every answer, ``[condition][question][answer]``.

    Args:
        lm: the model.
        layer: 0-based block whose output is edited, unless an intervention names one of its own.
        questions: prompts with their answers.
        conditions: ways to answer.
        rows: of one forward pass.
    """
    found: list[list[list[float]]] = [[[] for _ in questions] for _ in conditions]
    for states in steered_states(lm, layer, questions, conditions, rows):
        counts = [len(question.answers) for question in states.questions]
        values = iter(summed_log_probs(lm, states.hidden, states.layer, states.batch, sum(counts)).tolist())
        for (condition, question), count in zip(states.taken, counts, strict=True):
            found[condition][question] = list(islice(values, count))
    return found
