"""One answer in progress: a prompt, what steers it, how tokens are chosen, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from transformers import PreTrainedTokenizerBase

from yapo.errors import YapoError
from yapo.serving.text import AnswerText
from yapo.serving.vectors import RowEdit

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class DecodingOptions:
    """How an answer is decoded.

    Attributes:
        max_tokens: longest answer, with the token that ends it; 0 to score the prompt alone.
        temperature: 0 for the likeliest token.
        top_p: share of probability that samples are drawn from, above 0 and at most 1.
        seed: of the samples.
        stop: texts at which the answer ends; they are not part of it.
        logprobs: how many of the likeliest tokens are told beside each token; None to tell no probabilities.
        echo: whether the prompt's tokens are scored too, where ``logprobs`` asks for it.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    echo: bool = False


@dataclass(frozen=True)
class TokenScore:
    """A token with its log-probability, and the likeliest tokens in its place; None where nothing stands before it."""

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """What one step adds to an answer.

    Attributes:
        row: place of the answer in its request.
        text: whole characters.
        tokens: how many tokens it took.
        scored: those tokens, where they are told.
        finish: why the answer ends, with its last piece.
        error: why it failed.
    """

    row: int
    text: str = ""
    tokens: int = 0
    scored: tuple[TokenScore, ...] = ()
    finish: Finish | None = None
    error: YapoError | None = None


@dataclass(eq=False)
class Row:
    """One answer in progress.

    Attributes:
        place: of the answer in its request.
        prompt: token ids.
        edits: what steers it.
        decoding: how it is decoded.
        text: what its tokens say.
        ends: tokens that end it.
        tell: takes each piece; called by the engine's thread.
        cancelled: set by the client's side; the engine lets go of the row.
        tokens: generated so far.
        is_done: whether it has ended.
    """

    place: int
    prompt: list[int]
    edits: Sequence[RowEdit]
    decoding: DecodingOptions
    text: AnswerText
    ends: Collection[int]
    tell: Callable[[Piece], None]
    cancelled: bool = False
    tokens: list[int] = field(default_factory=list)
    is_done: bool = False

    @classmethod
    def of(
        cls,
        place: int,
        prompt: list[int],
        edits: Sequence[RowEdit],
        decoding: DecodingOptions,
        tokenizer: PreTrainedTokenizerBase,
        ends: Collection[int],
        tell: Callable[[Piece], None],
        continues: bool,
    ) -> Row:
        """Return a row; ``continues`` says that its text goes on where the prompt's ends, not a turn of its own."""
        text = AnswerText(tokenizer, decoding.stop, prompt if continues else ())
        return cls(place, prompt, edits, decoding, text, ends, tell)

    def score_prompt(self, scored: Sequence[TokenScore]) -> None:
        """Tell of the prompt's tokens."""
        self._told(Piece(self.place, scored=tuple(scored)))

    def take(self, token: int, scored: TokenScore | None) -> None:
        """Add a token that was chosen."""
        self.tokens.append(token)
        ended = token in self.ends
        piece = "" if ended else self.text.add(token)
        finish: Finish | None = None
        is_last = ended or self.text.stopped or len(self.tokens) >= self.decoding.max_tokens
        if is_last:
            piece += self.text.rest()
            finish = "stop" if ended or self.text.stopped else "length"
        self.is_done = finish is not None
        self._told(Piece(self.place, piece, 1, () if scored is None else (scored,), finish))

    def end(self) -> None:
        """End an answer that is to have no token."""
        self.is_done = True
        self._told(Piece(self.place, finish="length"))

    def fail(self, error: YapoError) -> None:
        """End with an error."""
        self.is_done = True
        self._told(Piece(self.place, error=error))

    def _told(self, piece: Piece) -> None:
        if not self.cancelled:
            self.tell(piece)
