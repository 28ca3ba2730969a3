"""Chat prompts and responses as token ids: the only place that tokenizes."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from yapo.errors import YapoError

# What templates may ask for beside the turns. Qwen 3 answers at once instead of thinking first; Llama 3 writes this date (the
# one its template falls back to) instead of today's, which would make every prompt change from day to day.
SETTINGS = {"enable_thinking": False, "date_string": "26 Jul 2024"}


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
        rendered = self._render([{"role": "user", "content": text}], add_generation_prompt=True)
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
        _, answer, rest = self._render(chat, add_generation_prompt=False).rpartition("ANSWER")
        closing = self.tokenizer.encode(rest, add_special_tokens=False)
        if not answer or not closing:
            fault = "does not close the model's turn" if answer else "leaves out the model's turn"
            raise YapoError(f"{self.tokenizer.name_or_path}: the chat template {fault}; use an instruction-tuned model")
        return int(closing[0])

    def _render(self, chat: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt, **SETTINGS)
            )
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in chat)
            raise YapoError(
                f"{self.tokenizer.name_or_path}: the chat template refuses the roles {roles} ({error});"
                " use an instruction-tuned model"
            ) from None
