"""The tokens of a chat that its template wrote, not the user or the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Template:
    """The parts that a chat template writes, as token ids.

    Attributes:
        special: control tokens, wherever they stand.
        opening: what stands before the first user's turn.
        answering: between a user's turn and an answer that is there already.
        following: between an answer and the next user's turn.
        closing: between the last user's turn and the answer that is to be written.
    """

    special: tuple[int, ...] = ()
    opening: tuple[int, ...] = ()
    answering: tuple[int, ...] = ()
    following: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()

    @classmethod
    def of(cls, header: dict[str, Sequence[int]]) -> Template:
        """Return a template read from JSON."""
        return cls(**{name: tuple(ids) for name, ids in header.items()})

    def content(self, ids: Tensor) -> Tensor:
        """Find the tokens that the template did not write, ``[rows, tokens]``."""
        written = torch.isin(ids, torch.tensor(self.special, dtype=ids.dtype, device=ids.device))
        for pattern in (self.opening, self.answering, self.following, self.closing):
            for start in _occurrences(ids, pattern).nonzero().tolist():
                written[start[0], start[1] : start[1] + len(pattern)] = True
        return ~written

    def last_turn(self, ids: Tensor, prompt: Tensor) -> Tensor:
        """Find the tokens of the last user's turn and behind it: on all of a row with one turn.

        Args:
            ids: ``[rows, tokens]``.
            prompt: True on the tokens among which a turn may begin, ``[rows, tokens]``.
        """
        position = torch.arange(ids.shape[1], device=ids.device)
        found = _occurrences(ids, self.following)
        if not found.shape[1]:
            return torch.ones_like(ids, dtype=torch.bool)
        length = len(self.following)
        begin = (found * prompt[:, length - 1 :] * (position[: found.shape[1]] + length)).amax(dim=1)
        return position >= begin[:, None]

    def answer_starts(self, ids: Tensor, real: Tensor) -> Tensor:
        """Find where each row's last answer begins: behind the last ``closing``, or behind its last token if it has none.

        Args:
            ids: ``[rows, tokens]``.
            real: True where a token is not padding, ``[rows, tokens]``.

        Returns:
            Index of the first answer token (or of the one to come), ``[rows]``.
        """
        position = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        last = (real * position).amax(dim=1)
        found = _occurrences(ids, self.closing)
        if not found.shape[1]:
            return last
        ends = (found * (position[: found.shape[1]] + len(self.closing) - 1)).amax(dim=1)
        return torch.where(ends > 0, ends, last)


def _occurrences(ids: Tensor, pattern: tuple[int, ...]) -> Tensor:
    """Find where a pattern begins, ``[rows, tokens - len(pattern) + 1]`` bool; without columns where there is none."""
    if not pattern or ids.shape[1] < len(pattern):
        return torch.zeros(len(ids), 0, dtype=torch.bool, device=ids.device)
    windows = ids.unfold(1, len(pattern), 1)
    return (windows == torch.tensor(pattern, dtype=ids.dtype, device=ids.device)).all(dim=-1)
