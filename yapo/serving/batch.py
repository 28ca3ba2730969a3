"""Answers that are decoded together. Rows come and go at any step; each has its own length and its own steering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from yapo.models.language_model import LanguageModel, cache_name, pad_left
from yapo.serving.errors import RequestError
from yapo.serving.row import Row, TokenScore
from yapo.serving.row_edits import PassTokens, RowEdits
from yapo.serving.sampling import next_tokens

NOT_FINITE = "the model computes no finite numbers for this request; give a smaller steering.multiplier"
SCORED_TOKENS = 512  # whose logits over the vocabulary are held at once


@dataclass(frozen=True, eq=False)
class RowCache:
    """Keys and values of some rows, padded on the left.

    Attributes:
        cache: as the library's models take it.
        real: False on padding, ``[rows, tokens]``.
    """

    cache: DynamicCache
    real: Tensor

    def select(self, rows: Sequence[int]) -> RowCache:
        """Return some of the rows, without the padding that all of them share."""
        kept = torch.tensor(rows, device=self.real.device)
        real = self.real[kept]
        first = int(real.any(dim=0).int().argmax())
        pairs = [(layer.keys[kept][:, :, first:], layer.values[kept][:, :, first:]) for layer in self.cache.layers]
        return RowCache(DynamicCache(pairs), real[:, first:])

    def joined(self, other: RowCache) -> RowCache:
        """Return the rows of both."""
        length = max(self.real.shape[1], other.real.shape[1])
        real = torch.cat([_lengthened(part.real, 1, length) for part in (self, other)])
        pairs = [
            tuple(torch.cat([_lengthened(part, 2, length) for part in both]) for both in ((a.keys, b.keys), (a.values, b.values)))
            for a, b in zip(self.cache.layers, other.cache.layers, strict=True)
        ]
        return RowCache(DynamicCache(pairs), real)


def _lengthened(part: Tensor, dim: int, length: int) -> Tensor:
    """Return a tensor with zeros in front of one of its dimensions."""
    missing = length - part.shape[dim]
    if not missing:
        return part
    shape = list(part.shape)
    shape[dim] = missing
    return torch.cat([part.new_zeros(shape), part], dim=dim)


class Batch:
    """Answers in progress."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.rows: list[Row] = []
        self._kept: RowCache | None = None
        self._edits: RowEdits | None = None

    def admit(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new answers and choose the first token of each."""
        ids, real = pad_left([row.prompt for row in rows], self.lm.tokenizer.pad, self.lm.device)
        opens = real & (real.cumsum(dim=1) == 1)
        edits = RowEdits([row.edits for row in rows], self.lm.device)
        new = RowCache(DynamicCache(), real)
        with edits.on(self.lm.model, PassTokens(ids, real, opens, is_prompt=True)):
            hidden = self._run(ids, new)
        for i, row in enumerate(rows):
            if not bool(hidden[i, -len(row.prompt) :].isfinite().all()):
                row.fail(RequestError(NOT_FINITE, "steering.multiplier"))
                continue
            if row.decoding.echo:
                row.score_prompt(self._scored(row, hidden[i, -len(row.prompt) :]))
            if row.decoding.max_tokens < 1:
                row.end()
        going = [i for i, row in enumerate(rows) if not row.is_done]
        if going:
            self._choose([rows[i] for i in going], hidden[going, -1])
        self._keep(rows, new)

    def step(self) -> None:
        """Choose the next token of every answer."""
        assert self._kept is not None
        ids = torch.tensor([row.tokens[-1:] for row in self.rows], device=self.lm.device)
        real = torch.ones_like(ids, dtype=torch.bool)
        if self._edits is None:
            self._edits = RowEdits([row.edits for row in self.rows], self.lm.device)
        grown = RowCache(self._kept.cache, torch.cat([self._kept.real, real], dim=1))
        with self._edits.on(self.lm.model, PassTokens(ids, real, torch.zeros_like(real), is_prompt=False)):
            hidden = self._run(ids, grown)
        self._choose(self.rows, hidden[:, -1])
        self._kept = grown
        self._drop()

    def clear(self) -> list[Row]:
        """Forget all answers; return them."""
        rows, self.rows, self._kept, self._edits = self.rows, [], None, None
        return rows

    def _run(self, ids: Tensor, rows: RowCache) -> Tensor:
        """Return the final norm's output, ``[rows, tokens, d_model]``, of tokens at the end of these rows."""
        positions = (rows.real.long().cumsum(dim=1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        hidden: Tensor = self.lm.model.model(
            input_ids=ids,
            attention_mask=rows.real.long(),
            position_ids=positions,
            use_cache=True,
            **{cache_name(self.lm.model.model): rows.cache},
        ).last_hidden_state
        return hidden

    def _choose(self, rows: Sequence[Row], hidden: Tensor) -> None:
        logits = self.lm.head(hidden)
        finite = logits.isfinite().all(dim=-1).tolist()
        chosen = next_tokens(logits, [row.decoding for row in rows], [len(row.tokens) for row in rows])
        for i, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            if not finite[i]:
                row.fail(RequestError(NOT_FINITE, "steering.multiplier"))
                continue
            told = row.decoding.logprobs
            row.take(token, None if told is None else scores(logits[i][None], [token], told)[0])

    def _scored(self, row: Row, hidden: Tensor) -> list[TokenScore]:
        """Return the log-probabilities of a prompt's tokens from the states before them."""
        found, told = [TokenScore(row.prompt[0], None)], row.decoding.logprobs or 0
        for start in range(0, len(row.prompt) - 1, SCORED_TOKENS):
            targets = row.prompt[start + 1 : start + 1 + SCORED_TOKENS]
            found += scores(self.lm.head(hidden[start : start + len(targets)]), targets, told)
        return found

    def _keep(self, rows: Sequence[Row], new: RowCache) -> None:
        """Go on with those of new rows that have not ended, beside the others."""
        going = [i for i, row in enumerate(rows) if not row.is_done]
        if not going:
            return
        part = new if len(going) == len(rows) else new.select(going)
        self._kept = part if self._kept is None else self._kept.joined(part)
        self.rows += [rows[i] for i in going]
        self._edits = None

    def _drop(self) -> None:
        """Let go of answers that have ended, or that nobody waits for any more."""
        going = [i for i, row in enumerate(self.rows) if not row.is_done and not row.cancelled]
        if len(going) == len(self.rows):
            return
        assert self._kept is not None
        self._kept = self._kept.select(going) if going else None
        self.rows = [self.rows[i] for i in going]
        self._edits = None


def scores(logits: Tensor, targets: Sequence[int], told: int) -> list[TokenScore]:
    """Return log-probabilities of tokens and of the likeliest ones in their places.

    Args:
        logits: ``[tokens, vocabulary]`` float32.
        targets: the tokens.
        told: how many of the likeliest.
    """
    log_probs = logits.log_softmax(dim=-1)
    of_targets = log_probs.gather(1, torch.tensor(targets, device=logits.device)[:, None])[:, 0].tolist()
    values, ids = log_probs.topk(told, dim=-1) if told else (log_probs[:, :0], log_probs[:, :0].long())
    tops = [tuple(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
    return [TokenScore(token, value, top) for token, value, top in zip(targets, of_targets, tops, strict=True)]
