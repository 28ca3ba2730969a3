"""Storage of the rows that are being decoded, at addresses that never change.

A slot holds one completion in progress. Its prompt starts at key 0, and every step writes one key at the slot's own position,
so slots of different lengths stand side by side without padding in between, and a slot that has ended is given to a waiting
prompt without touching the others. Nothing here depends on data, so a step can be captured as a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yapo.models.language_model import KeyValues, LanguageModel


@dataclass(frozen=True, eq=False)
class Slots:
    """State of ``R`` rows.

    Attributes:
        keys, values: by layer, ``[R, heads, capacity, head_dim]``.
        token: the token that a row reads next, ``[R]``.
        position: the place of that token, and of its key, ``[R]``.
        owner: which condition a row answers under, ``[R]``.
        noise: seed of a row's samples, ``[R]``.
        written: tokens read since the host last looked, ``[steps, R]``.
        column: row of ``written`` that the next step fills, ``[1]``.
    """

    keys: list[Tensor]
    values: list[Tensor]
    token: Tensor
    position: Tensor
    owner: Tensor
    noise: Tensor
    written: Tensor
    column: Tensor

    @classmethod
    def empty(cls, lm: LanguageModel, rows: int, capacity: int, steps: int) -> Slots:
        """Return slots without completions."""
        config = lm.model.config
        heads = int(config.num_key_value_heads)
        head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        device, shape = lm.device, (rows, heads, capacity, head_dim)
        keys, values = ([torch.zeros(shape, dtype=lm.dtype, device=device) for _ in range(lm.n_layers)] for _ in range(2))

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=device)

        return cls(keys, values, zeros(rows), zeros(rows), zeros(rows), zeros(rows), zeros(steps, rows), zeros(1))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.token)

    @property
    def capacity(self) -> int:
        """Longest row, prompt and completion."""
        return self.keys[0].shape[2]

    def first(self, rows: int) -> Slots:
        """Return the first rows alone, in the same storage."""
        keys, values = ([kept[:rows] for kept in side] for side in (self.keys, self.values))
        token, position, owner, noise = (part[:rows] for part in (self.token, self.position, self.owner, self.noise))
        return Slots(keys, values, token, position, owner, noise, self.written[:, :rows], self.column)

    def reset(self) -> None:
        """Forget what the rows held: an idle row may be of a batch with more conditions or longer prompts."""
        for part in (self.token, self.position, self.owner, self.noise):
            part.zero_()

    def fill(self, slots: Tensor, cache: KeyValues, tokens: int, rows: Tensor | None = None) -> None:
        """Copy the keys and values of prompts into slots.

        Args:
            slots: where to, ``[n]``.
            cache: of prompts padded on the right, ``[prompts, heads, >= tokens, head_dim]`` a layer; what lies behind a prompt
                is never read, since each step's key replaces it before a query may see it.
            tokens: longest prompt.
            rows: which prompt goes into each slot; prompt i into slot i if None.
        """
        for layer in cache.keys:
            for kept, new in ((self.keys, cache.keys), (self.values, cache.values)):
                source = new[layer][:, :, :tokens]
                kept[layer][slots, :, :tokens] = source if rows is None else source[rows]

    def move(self, sources: Tensor, tokens: int) -> None:
        """Give the first rows what the rows ``sources [n]`` hold, up to ``tokens`` keys."""
        n = len(sources)
        for kept in (*self.keys, *self.values):
            kept[:n, :, :tokens] = kept[sources, :, :tokens]
        for part in (self.token, self.position, self.owner, self.noise):
            part[:n] = part[sources]


class StepCache:
    """The blocks' cache in one step: writes each row's key at its position, and returns the first ``length`` keys."""

    def __init__(self, slots: Slots, length: int) -> None:
        self.slots, self.length = slots, length
        heads, capacity = slots.keys[0].shape[1:3]
        base = torch.arange(slots.rows * heads, device=slots.token.device).view(slots.rows, heads) * capacity
        self.at = (base + slots.position[:, None]).reshape(-1)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Take keys and values ``[rows, heads, 1, head_dim]`` as transformers' attention gives them."""
        for kept, new in ((self.slots.keys[layer], key), (self.slots.values[layer], value)):
            kept.view(-1, kept.shape[-1]).index_copy_(0, self.at, new.reshape(-1, new.shape[-1]))
        return self.slots.keys[layer][:, :, : self.length], self.slots.values[layer][:, :, : self.length]
