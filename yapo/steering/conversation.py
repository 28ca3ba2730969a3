"""The conversation so far, as an edit that depends on the prompt must remember it over a model's forward passes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.steering.interventions import Intervention

AnswerStarts = Callable[[Tensor], Tensor]
"""Maps ids ``[rows, tokens]`` to the index at which each row's answer begins, ``[rows]``."""


class Conversation:
    """State of one batch of conversations.

    A pass without cached tokens begins new conversations; the prompt is everything up to the answer that is to be written or,
    in a row that holds its last answer already, up to that. A pass of one token after cached ones continues the answer. A longer
    one is a new turn, whose prompt is the whole conversation. Generation without a cache, where each pass repeats the last
    one and adds one token, keeps the prompt it began with.

    Args:
        intervention: reads the prompt. Its template finds where an answer begins; without the template's marks in a row, the
            whole row is prompt.
        answer_starts: says so instead of the template.
    """

    def __init__(self, intervention: Intervention, answer_starts: AnswerStarts | None = None) -> None:
        self.intervention, self.answer_starts = intervention, answer_starts
        self.ids, self.real, self.starts = (torch.zeros(0, 0, dtype=torch.long) for _ in range(3))
        self.states: list[Tensor] = []
        self.context: Tensor | None = None
        self.new = 0  # tokens of the pass under way
        self.turn = True  # whether it brings a prompt

    def begin(self, ids: Tensor | None, mask: Tensor | None, cached: int) -> None:
        """Note a pass over ``ids [rows, tokens]``, with the mask that the model was given and the tokens it has cached.

        Raises:
            YapoError: there are no ids, or the cached tokens were not seen.
        """
        if ids is None:
            raise YapoError("this vector depends on the prompt's tokens: call the model with input_ids, not inputs_embeds")
        if cached and cached != self.ids.shape[1]:
            seen = self.ids.shape[1]
            raise YapoError(
                f"{cached} tokens are cached, of which {seen} were read here; begin the conversation inside this block"
            )
        self.new, repeated = ids.shape[1], not cached and self._repeats(ids)
        self.turn = not repeated and (not cached or self.new > 1)
        self.ids = torch.cat([self.ids, ids], dim=1) if cached else ids
        self.real = self._real(ids, mask, cached)
        if not cached:
            self.states = []
        if self.turn:
            self.starts = self._starts()

    def _real(self, ids: Tensor, mask: Tensor | None, cached: int) -> Tensor:
        """Find the tokens so far that are no padding. A mask that covers them all says so of the earlier ones too."""
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None or mask.ndim != 2 else mask.bool()
        if not cached or real.shape[1] == self.ids.shape[1]:
            return real[:, -self.ids.shape[1] :]
        return torch.cat([self.real, real[:, -ids.shape[1] :]], dim=1)

    def _repeats(self, ids: Tensor) -> bool:
        """Return whether a pass is the last one and one token more."""
        before = self.ids
        return ids.shape == (len(before), before.shape[1] + 1) and torch.equal(ids[:, :-1], before)

    def _starts(self) -> Tensor:
        if self.answer_starts is not None:
            return self.answer_starts(self.ids)
        return self.intervention.template.answer_starts(self.ids, self.real)

    def read(self, hidden: Tensor) -> None:
        """Take the residual stream of the pass's tokens at the layer that is read, ``[rows, tokens, d_model]``."""
        self.states.append(hidden)
        if self.turn:
            self.states = [torch.cat(self.states, dim=1)]
            prompt = self.real & (self._places(0) < self.starts[:, None])
            ids, prompt = self.ids.to(hidden.device), prompt.to(hidden.device)
            self.context = self.intervention.context(self.states[0], ids, prompt)

    def live(self) -> Tensor:
        """Return the tokens of the pass that are edited, ``[rows, tokens]``: the last of the prompt and all after it, or all."""
        start = self.ids.shape[1] - self.new
        if not self.intervention.answers_only:
            return self.real[:, start:]
        return self.real[:, start:] & (self._places(start) >= self.starts[:, None] - 1)

    def _places(self, start: int) -> Tensor:
        return torch.arange(start, self.ids.shape[1], device=self.ids.device)
