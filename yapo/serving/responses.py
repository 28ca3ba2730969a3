"""Answers in the form that OpenAI's clients read."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from yapo.models.token_text import BROKEN
from yapo.serving.requests import CompletionRequest, Service
from yapo.serving.row import Finish, Piece, TokenScore

Json = dict[str, Any]

ANCHOR = "a"  # behind its tokens, a token is written with its space


@dataclass
class Choice:
    """An answer as far as it has come."""

    text: str = ""
    scored: list[TokenScore] = field(default_factory=list)
    tokens: int = 0
    finish: Finish | None = None

    def add(self, piece: Piece) -> None:
        """Add a piece."""
        self.text += piece.text
        self.scored += piece.scored
        self.tokens += piece.tokens
        self.finish = piece.finish


class CompletionResponse:
    """The answers to one request.

    Args:
        service: what answers.
        asked: the request.
        names: of tokens.
    """

    def __init__(self, service: Service, asked: CompletionRequest, names: TokenNames) -> None:
        self.asked = asked
        self.choices = [Choice() for _ in asked.decodings]
        self._names = names
        chat = asked.endpoint == "chat"
        kind = ("chat.completion", "chat.completion.chunk") if chat else ("text_completion", "text_completion")
        self._kinds = kind
        self._head = {
            "id": ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": service.name,
        }
        self._offsets = [0] * len(self.choices)

    def add(self, piece: Piece) -> None:
        """Add a piece to its answer."""
        self.choices[piece.row].add(piece)

    def whole(self) -> Json:
        """Return the answer in one object."""
        choices = [self._choice(place, choice) for place, choice in enumerate(self.choices)]
        return {**self._head, "object": self._kinds[0], "choices": choices, "usage": self.usage()}

    def opening(self) -> list[Json]:
        """Return what a stream begins with: the role of the speaker, or the prompt where it is repeated."""
        if self.asked.endpoint == "chat":
            return [self._chunk(i, {"delta": {"role": "assistant", "content": ""}}) for i in range(len(self.choices))]
        return [self._chunk(i, {"text": text, "logprobs": None}) for i in range(len(self.choices)) if (text := self._echoed(i))]

    def chunk(self, piece: Piece) -> Json | None:
        """Return what a stream tells of a piece; None where it holds nothing to tell yet."""
        if not (piece.text or piece.scored or piece.finish):
            return None
        logprobs = self._logprobs(piece.row, piece.scored) if piece.scored else None
        if self.asked.endpoint == "chat":
            content: Json = {"delta": {"content": piece.text} if piece.text else {}, "logprobs": logprobs}
        else:
            content = {"text": piece.text, "logprobs": logprobs}
        return self._chunk(piece.row, content, piece.finish)

    def usage_chunk(self) -> Json:
        """Return the last object of a stream that is to end with the counts of tokens."""
        return {**self._head, "object": self._kinds[1], "choices": [], "usage": self.usage()}

    def usage(self) -> Json:
        """Return the counts of tokens."""
        read = sum(len(prompt.ids) for prompt in self.asked.prompts)
        made = sum(choice.tokens for choice in self.choices)
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def _chunk(self, place: int, content: Json, finish: Finish | None = None) -> Json:
        choice = {"index": place, **content, "finish_reason": finish}
        extra = {"usage": None} if self.asked.include_usage else {}
        return {**self._head, "object": self._kinds[1], "choices": [choice], **extra}

    def _choice(self, place: int, choice: Choice) -> Json:
        logprobs = None if self.asked.decodings[place].logprobs is None else self._logprobs(place, choice.scored)
        shared = {"index": place, "logprobs": logprobs, "finish_reason": choice.finish}
        if self.asked.endpoint == "chat":
            return {**shared, "message": {"role": "assistant", "content": choice.text, "refusal": None}}
        return {**shared, "text": self._echoed(place) + choice.text}

    def _echoed(self, place: int) -> str:
        """Return the prompt of an answer, where it is repeated."""
        if not self.asked.echo:
            return ""
        prompt = self.asked.prompts[place // self.asked.n]
        return self._names.tokenizer.decode(prompt.ids, skip_special_tokens=True) if prompt.text is None else prompt.text

    def _logprobs(self, place: int, scored: Sequence[TokenScore]) -> Json:
        if self.asked.endpoint == "chat":
            return {"content": [self._chat_token(one) for one in scored], "refusal": None}
        names = [self._names.of(one.token).text for one in scored]
        offsets = []
        for name in names:
            offsets.append(self._offsets[place])
            self._offsets[place] += len(name)
        tops = [None if one.logprob is None else {self._names.of(i).text: value for i, value in one.top} for one in scored]
        return {
            "tokens": names,
            "token_logprobs": [one.logprob for one in scored],
            "top_logprobs": tops,
            "text_offset": offsets,
        }

    def _chat_token(self, one: TokenScore) -> Json:
        top = [self._named(token, value) for token, value in one.top]
        return {**self._named(one.token, one.logprob), "top_logprobs": top}

    def _named(self, token: int, logprob: float | None) -> Json:
        name = self._names.of(token)
        return {"token": name.text, "logprob": logprob, "bytes": list(name.text.encode()) if name.is_whole else None}


class TokenName(NamedTuple):
    """The text of a token, and whether it is whole characters."""

    text: str
    is_whole: bool


class TokenNames:
    """The text of single tokens, with their spaces; a part of a character has the name that the vocabulary gives it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._anchor = tokenizer.encode(ANCHOR, add_special_tokens=False)
        self._known = str(tokenizer.decode(self._anchor))
        self.of = lru_cache(maxsize=4096)(self._of)

    def _of(self, token: int) -> TokenName:
        text = str(self.tokenizer.decode([*self._anchor, token]))
        if text.startswith(self._known) and BROKEN not in text and len(text) > len(self._known):
            return TokenName(text[len(self._known) :], True)
        return TokenName(str(self.tokenizer.convert_ids_to_tokens(token)), False)


def event(content: Json | str) -> bytes:
    """Return one server-sent event, in ASCII: some clients end a line at separators that only Unicode knows."""
    text = content if isinstance(content, str) else json.dumps(content)
    return f"data: {text}\n\n".encode()
