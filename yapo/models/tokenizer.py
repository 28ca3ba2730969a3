"""Chat prompts and responses as token ids: the only place that tokenizes."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from yapo.errors import YapoError


class ChatTokenizer:
    """Encodes single-turn chats with the tokenizer's own template.

    The template writes BOS itself, so nothing here adds special tokens a second time.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.chat_template is None:
            raise YapoError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer = tokenizer
        self.end_of_turn = self._end_of_turn()
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_of_turn

    def prompt(self, text: str) -> list[int]:
        """Ids of a user's turn followed by the opening of the model's turn. BOS occurs once at most."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        return list(self.tokenizer.encode(rendered, add_special_tokens=False))

    def response(self, text: str) -> list[int]:
        """Ids of the model's turn, closed by the end-of-turn token."""
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.end_of_turn]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a completion up to its end-of-turn token."""
        kept = list(ids)
        if self.end_of_turn in kept:
            kept = kept[: kept.index(self.end_of_turn)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()

    def _end_of_turn(self) -> int:
        chat = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "ANSWER"}]
        rendered = self.tokenizer.apply_chat_template(chat, tokenize=False)
        closing = self.tokenizer.encode(rendered.rpartition("ANSWER")[2], add_special_tokens=False)
        if not closing:
            raise YapoError(f"{self.tokenizer.name_or_path}: the chat template does not close the model's turn")
        return int(closing[0])
