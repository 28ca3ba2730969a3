"""System prompt and earlier turns of a conversation, which stand before a question."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.models.tokenizer import ChatTokenizer


@dataclass(frozen=True)
class Preamble:
    """A system prompt and earlier turns; neither by default.

    Attributes:
        system: instructions; empty for none.
        turns: of user and model in turn, the model's last.
    """

    system: str = ""
    turns: tuple[str, ...] = ()

    def prompt(self, tokenizer: ChatTokenizer, question: str) -> list[int]:
        """Return the token ids of a question behind it, up to the opening of the model's turn."""
        return tokenizer.instructed(self.system, [*self.turns, question])


NO_PREAMBLE = Preamble()
