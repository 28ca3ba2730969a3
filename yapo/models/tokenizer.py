"""Chat prompts and responses as token ids: the only place that tokenizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from yapo.errors import YapoError
from yapo.models.template import Template

# What templates may ask for beside the turns. Qwen 3 answers at once instead of thinking first; Llama 3 writes this date (the
# one its template falls back to) instead of today's, which would make every prompt change from day to day.
SETTINGS = {"enable_thinking": False, "date_string": "26 Jul 2024"}


class ChatTokenizer:
    """Encodes chats with the tokenizer's own template.

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
        return self.conversation([text])

    def conversation(self, turns: Sequence[str]) -> list[int]:
        """Ids of a conversation that waits for the model: the user's and the model's turns by turns, the last one the user's."""
        chat = [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(turns)]
        return list(self.tokenizer.encode(self._render(chat, add_generation_prompt=True), add_special_tokens=False))

    def response(self, text: str) -> list[int]:
        """Ids of the model's turn, closed by the end-of-turn token."""
        return [*self.tokenizer.encode(text, add_special_tokens=False), self.end_of_turn]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a completion up to its end-of-turn token."""
        kept = list(ids)
        if self.end_of_turn in kept:
            kept = kept[: kept.index(self.end_of_turn)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()

    @cached_property
    def template(self) -> Template:
        """What the chat template writes around the turns of a conversation."""
        texts = ("FIRST", "ANSWER", "SECOND")
        roles = ("user", "assistant", "user")
        rest = self._render([{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)], add_generation_prompt=True)
        parts = []
        for text in texts:
            part, _, rest = rest.partition(text)
            parts.append(tuple(self.tokenizer.encode(part, add_special_tokens=False)))
        parts.append(tuple(self.tokenizer.encode(rest, add_special_tokens=False)))
        control = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        return Template(tuple(sorted(control | set(self.tokenizer.all_special_ids))), *parts)

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
