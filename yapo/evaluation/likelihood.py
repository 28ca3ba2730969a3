"""Log-probabilities of answers to questions under many steering conditions: multiple choice without decoding.

    log p(a | x) = Σ_t log p(a_t | x, a_1 .. a_{t-1}),    x and a steered as decoding steers a prompt and what follows

The blocks up to a steered layer read each question with all of its answers once, whatever the number of conditions. The blocks
above it run once per (condition, question), the last one and the head only where an answer is predicted.
``tests/evaluation/test_likelihood.py`` holds it equal to running each answer as a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from yapo.evaluation.decoding.conditions import Condition, Steering, by_layers
from yapo.models.language_model import LanguageModel, pad_right
from yapo.steering.pair_batch import TokenOptions, batch_pairs, summed_log_probs
from yapo.steering.sparse_codes import SparseCodes

TOKENS = 2**15  # of one forward pass


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
    order = sorted(range(len(questions)), key=lambda i: -len(questions[i].tokens))
    for layers, chosen in by_layers(conditions, layer).items():
        own = [conditions[c] for c in chosen]
        interventions = {id(c.intervention): c.intervention for c in own if c.intervention is not None}
        steering = Steering.of_all(own, list(interventions.values()), lm.device)
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            below = _Below.of(lm, layers, [questions[i] for i in part])
            most = max(1, min(rows, TOKENS // below.ids.shape[1]))
            for one in dict.fromkeys(steering):
                steered = _Above.of(below, one)
                queue = [(c, k) for c, s in enumerate(steering) if s is one for k in range(len(part))]
                for first in range(0, len(queue), most):
                    taken = queue[first : first + most]
                    for (c, k), values in zip(taken, steered.log_probs(taken), strict=True):
                        found[chosen[c]][part[k]] = values
    return found


@dataclass(frozen=True, eq=False)
class _Below:
    """Questions run with their answers up to the steered layer.

    Attributes:
        read: residual stream after the block that decides an edit, ``[questions, tokens, d_model]``.
        hidden: that after the steered block.
        last: place of the last prompt token, ``[questions, 1]``.
    """

    lm: LanguageModel
    layer: int
    questions: Sequence[TokenOptions]
    ids: Tensor
    positions: Tensor
    real: Tensor
    read: Tensor
    hidden: Tensor
    last: Tensor

    @classmethod
    def of(cls, lm: LanguageModel, layers: tuple[int, int | None], questions: Sequence[TokenOptions]) -> _Below:
        layer, reads = layers
        ids, real = pad_right([question.tokens for question in questions], lm.tokenizer.pad, lm.device)
        batch = batch_pairs(questions, shared=False).to(lm.device)
        masks = lm.masks(batch.allowed, batch.positions, batch.positions)
        between = layer if reads is None else reads
        read = lm.blocks(lm.embed(ids), 0, between + 1, batch.positions, masks)
        hidden = lm.blocks(read, between + 1, layer + 1, batch.positions, masks) if between < layer else read
        last = torch.tensor([[len(question.prompt) - 1] for question in questions], device=lm.device)
        return cls(lm, layer, questions, ids, batch.positions, real, read, hidden, last)


@dataclass(frozen=True, eq=False)
class _Above:
    """The same questions under the conditions that share a steering, with what it needs to know of them."""

    below: _Below
    steering: Steering | None
    codes: SparseCodes | None = None
    context: Tensor | None = None

    @classmethod
    def of(cls, below: _Below, steering: Steering | None) -> _Above:
        if steering is None:
            return cls(below, None)
        prompt = torch.arange(below.ids.shape[1], device=below.ids.device) <= below.last
        context = steering.intervention.context(below.read, below.ids, prompt)
        return cls(below, steering, steering.intervention.codes(below.hidden), context)

    def log_probs(self, taken: Sequence[tuple[int, int]]) -> list[list[float]]:
        """Return the log-probabilities of the answers of each (condition, question)."""
        below, lm = self.below, self.below.lm
        which = torch.tensor([k for _, k in taken], device=lm.device)
        hidden = below.hidden[which]
        if self.steering is not None:
            owner = torch.tensor([self.steering.index_of[c] for c, _ in taken], device=lm.device)[:, None]
            live = self.steering.live(below.real[which], below.positions[which], below.last[which])
            codes = None if self.codes is None else self.codes.rows(which)
            context = None if self.context is None else self.context[which]
            hidden = self.steering.intervention.edit(hidden, codes, self.steering.state, owner, live, context)
        questions = [below.questions[k] for _, k in taken]
        batch = batch_pairs(questions, below.ids.shape[1], shared=False).to(lm.device)
        counts = [len(question.answers) for question in questions]
        values = iter(summed_log_probs(lm, hidden, below.layer, batch, sum(counts)).tolist())
        return [list(islice(values, count)) for count in counts]
