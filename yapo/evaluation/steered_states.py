"""Residual streams of questions with their answers under many steering conditions.

The blocks up to a steered layer read each question once, whatever the number of conditions. What an edit needs to know of it is
computed once for all conditions that share an edit. ``tests/evaluation/test_likelihood.py`` holds what comes out above equal to
running each answer as a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.evaluation.decoding.conditions import Condition, Steering, by_layers
from yapo.models.language_model import LanguageModel, pad_right
from yapo.steering.pair_batch import PairBatch, TokenOptions, batch_pairs
from yapo.steering.sparse_codes import SparseCodes

TOKENS = 2**15  # of one forward pass


@dataclass(frozen=True, eq=False)
class SteeredStates:
    """Questions with their answers in rows, each under one condition.

    Attributes:
        taken: the condition and the question of each row.
        questions: the question of each row.
        layer: the steered block, 0-based.
        hidden: residual stream after it, ``[rows, tokens, d_model]``.
        batch: their layout; row i is question i.
    """

    taken: Sequence[tuple[int, int]]
    questions: Sequence[TokenOptions]
    layer: int
    hidden: Tensor
    batch: PairBatch


@torch.inference_mode()
def steered_states(
    lm: LanguageModel, layer: int, questions: Sequence[TokenOptions], conditions: Sequence[Condition], rows: int
) -> Iterator[SteeredStates]:
    """Yield every pairing of a condition and a question once, in batches; conditions alike in their edit in the order given.

    Args:
        lm: the model.
        layer: 0-based block whose output is edited, unless an intervention names one of its own.
        questions: prompts with their answers.
        conditions: ways to answer.
        rows: of one forward pass.
    """
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
                above = _Above.of(below, one)
                queue = [(c, k) for c, s in enumerate(steering) if s is one for k in range(len(part))]
                for first in range(0, len(queue), most):
                    rows_taken = queue[first : first + most]
                    asked = [below.questions[k] for _, k in rows_taken]
                    batch = batch_pairs(asked, below.ids.shape[1], shared=False).to(lm.device)
                    taken = [(chosen[c], part[k]) for c, k in rows_taken]
                    yield SteeredStates(taken, asked, below.layer, above.hidden(rows_taken), batch)


@dataclass(frozen=True, eq=False)
class _Below:
    """Questions run with their answers up to the steered layer.

    Attributes:
        read: residual stream after the block that decides an edit, ``[questions, tokens, d_model]``.
        hidden: that after the steered block.
        last: place of the last prompt token, ``[questions, 1]``.
    """

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
        return cls(layer, questions, ids, batch.positions, real, read, hidden, last)


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

    def hidden(self, taken: Sequence[tuple[int, int]]) -> Tensor:
        """Return the residual stream of each (condition, question) after the edit, ``[rows, tokens, d_model]``."""
        below, device = self.below, self.below.hidden.device
        which = torch.tensor([k for _, k in taken], device=device)
        hidden = below.hidden[which]
        if self.steering is None:
            return hidden
        owner = torch.tensor([self.steering.index_of[c] for c, _ in taken], device=device)[:, None]
        live = self.steering.live(below.real[which], below.positions[which], below.last[which])
        codes = None if self.codes is None else self.codes.rows(which)
        context = None if self.context is None else self.context[which]
        return self.steering.intervention.edit(hidden, codes, self.steering.state, owner, live, context)
