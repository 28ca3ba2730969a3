"""The text of an answer as its tokens come: whole characters only, and nothing that may turn out to be a stop text."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from yapo.models.token_text import BROKEN

BEFORE = 8  # tokens of the prompt that a continuation is decoded behind


class TokenText:
    """Decodes tokens one by one to text that does not depend on how many come at once.

    A tokenizer may write a token differently at the start of a text (without its space), so each is decoded behind the tokens of
    the last piece. The same is in ``tokenizers`` (``DecodeStream``), which raises an error on bytes that are no text.

    Args:
        tokenizer: of the model.
        before: tokens of the text that is continued; none where it begins.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before[-BEFORE:])  # the last piece and what came since
        self._known = self._decode(self._ids)
        self._read = len(self._ids)

    def add(self, token: int) -> str:
        """Return the text that a token completes; none while a character lacks bytes."""
        self._ids.append(token)
        text = self._decode(self._ids)
        if text.endswith(BROKEN) or len(text) <= len(self._known):
            return ""
        piece = text[len(self._known) :]
        self._ids = self._ids[self._read :]
        self._known, self._read = self._decode(self._ids), len(self._ids)
        return piece

    def rest(self) -> str:
        """Return the text of bytes that were never completed."""
        return self._decode(self._ids)[len(self._known) :]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


class AnswerText:
    """The text of one answer, up to a stop text.

    Args:
        tokenizer: of the model.
        stop: texts at which it ends.
        before: see ``TokenText``.

    Attributes:
        stopped: whether a stop text was met.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str], before: Sequence[int] = ()) -> None:
        self.stopped = False
        self._text, self._stop = TokenText(tokenizer, before), stop
        self._held = ""  # may be the beginning of a stop text

    def add(self, token: int) -> str:
        """Return the text that is sure after one token more."""
        return self._sure(self._text.add(token))

    def rest(self) -> str:
        """Return what was held back, at the end of the answer."""
        if self.stopped:
            return ""
        sure = self._sure(self._text.rest())
        held, self._held = self._held, ""
        return sure if self.stopped else sure + held

    def _sure(self, new: str) -> str:
        text = self._held + new
        found = min((place for stop in self._stop if (place := text.find(stop)) >= 0), default=None)
        if found is not None:
            self.stopped, self._held = True, ""
            return text[:found]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text are the beginning of a stop text."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
