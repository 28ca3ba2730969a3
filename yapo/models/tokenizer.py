"""Chat prompts and responses as token ids: the only place that tokenizes, and that knows how a turn ends."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from yapo.errors import YapoError
from yapo.models.chat_template import render
from yapo.models.template import Template

# Turns as they stand: a text, a space, its continuation.
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ ' ' if not loop.first }}{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)

FIRST, ANSWER, SECOND = "Zqfirst", "Zqanswer", "Zqsecond"  # stand for turns when a template is read; in no template's own text


class ChatTokenizer:
    """Encodes chats with the tokenizer's own template.

    The template writes BOS itself, so nothing here adds special tokens a second time. A prompt and the response to it are
    together the ids of the template's rendering of both, up to the end-of-turn token.

    Args:
        tokenizer: has a chat template.
        eos: ids that end generation, beside the tokenizer's own: those of the model's configuration.

    Attributes:
        end_of_turn: the token with which the template closes the model's turn.
        eos: all ids that end generation, beside that one.
        pad: what fills up a batch.

    Raises:
        YapoError: there is no template, it fails, or it leaves out or does not close the model's turn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos: Iterable[int] = ()) -> None:
        if tokenizer.chat_template is None:
            raise YapoError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer = tokenizer
        self.eos = frozenset(eos) | ({tokenizer.eos_token_id} - {None})
        both = self._render([("user", FIRST), ("assistant", ANSWER)])
        self._opening, answer, self._closing = both.rpartition(ANSWER)
        prompt = self._render([("user", FIRST)], add_generation_prompt=True)
        if FIRST not in prompt or not answer:
            raise self._error(f"leaves out the {'model' if FIRST in prompt else 'user'}'s turn")
        back = self.tokenizer.decode(self._encode(FIRST))
        if FIRST not in back:
            raise YapoError(
                f"{tokenizer.name_or_path}: the tokenizer gives {FIRST!r} back as {back!r}; give the model's own tokenizer"
            )
        self._header, self._lead = _between(prompt, self._opening)
        closing = self._pieces([self._opening + ANSWER, self._closing])[1]
        if not closing:
            raise self._error("does not close the model's turn")
        if self._opening.count(FIRST) != 1 or both.count(ANSWER) != 1:
            raise self._error("does not write each turn once, the user's before the model's")
        self.end_of_turn = self._end_of_turn(closing)
        self._contexts = [(before, self._encode(before)) for before in (prompt + self._header, "\n")]
        self._behind = len(closing) - 1 - closing.index(self.end_of_turn)  # tokens that the template writes after it
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_of_turn

    @property
    def ends(self) -> frozenset[int]:
        """Every token at which a completion stops."""
        return self.eos | {self.end_of_turn}

    def ending_also_at(self, eos: Iterable[int]) -> ChatTokenizer:
        """Return the same, stopping at more tokens."""
        more = copy.copy(self)
        more.eos = self.eos | frozenset(eos)
        return more

    def prompt(self, text: str) -> list[int]:
        """Return ids of a user's turn followed by the opening of the model's turn. BOS occurs once at most."""
        return self.conversation([text])

    def conversation(self, turns: Sequence[str]) -> list[int]:
        """Return ids of a conversation that waits for the model: user and model take turns, and the user has the last."""
        return self.chat([("assistant" if place % 2 else "user", text) for place, text in enumerate(turns)])

    def instructed(self, system: str, turns: Sequence[str]) -> list[int]:
        """Return ids of a conversation as ``conversation`` does, under a system prompt; an empty one is none.

        Where the template has no place for it, as Gemma's, it stands at the head of the first turn, before an empty line.
        """
        if not system:
            return self.conversation(turns)
        if not self.has_system_turn:
            return self.conversation([f"{system}\n\n{turns[0]}", *turns[1:]])
        roles = [("assistant" if place % 2 else "user", text) for place, text in enumerate(turns)]
        return self.chat([("system", system), *roles])

    def chat(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Return ids of messages, each a role and a text, that wait for the model.

        Raises:
            YapoError: the template has no place for these roles in this order.
        """
        return self._encode(self._render(messages, add_generation_prompt=True) + self._header)

    def text(self, text: str) -> list[int]:
        """Return ids of a text that is no chat, with the special tokens that the tokenizer puts before one, once."""
        opened = bool(self.tokenizer.bos_token) and text.startswith(str(self.tokenizer.bos_token))
        return list(self.tokenizer.encode(text, add_special_tokens=not opened))

    def response(self, text: str) -> list[int]:
        """Return ids of the model's turn, up to and with the end-of-turn token.

        They are what the template's rendering of prompt and answer has behind the prompt, so an answer behind a line break
        begins without the space that some tokenizers put before a text that stands alone.
        """
        written = self._render([("user", FIRST), ("assistant", text)])
        whole = written.startswith(self._opening) and written.endswith(self._closing)
        content = self._lead + (written[len(self._opening) : len(written) - len(self._closing)] if whole else text)
        ids = self._continuing(content + self._closing)
        ids = ids[: len(ids) - self._behind]
        return ids if ids[-1:] == [self.end_of_turn] else [*self._continuing(content), self.end_of_turn]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a completion up to the first token that ends it."""
        ends = self.ends
        length = next((place for place, token in enumerate(ids) if token in ends), len(ids))
        return str(self.tokenizer.decode(list(ids[:length]), skip_special_tokens=True)).strip()

    @cached_property
    def has_system_turn(self) -> bool:
        """Tell whether the template writes a system prompt."""
        try:
            return ANSWER in self._render([("system", ANSWER), ("user", FIRST)], add_generation_prompt=True)
        except YapoError:
            return False

    @cached_property
    def template(self) -> Template:
        """Text that the chat template writes around the turns of a conversation."""
        chat = [("user", FIRST), ("assistant", ANSWER), ("user", SECOND)]
        rest, parts = self._render(chat, add_generation_prompt=True), list[str]()
        for _, text in chat:
            part, _, rest = rest.partition(text)
            parts += [part, text]
        rest += self._header
        control = self._control | set(self.tokenizer.all_special_ids)
        return Template(tuple(sorted(control)), *(tuple(ids) for ids in self._pieces([*parts, rest])[::2]))

    @property
    def _control(self) -> set[int]:
        return {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}

    def _end_of_turn(self, closing: Sequence[int]) -> int:
        """Return the token of a template's closing that ends the turn: not white space before it, nor a line break behind it."""
        likely: tuple[Collection[int], ...] = (self.eos | self._control, self.tokenizer.added_tokens_decoder, closing)
        for known in likely:
            for token in closing:
                if token in known and self.tokenizer.decode([token]).strip():
                    return token
        return closing[0]

    def _continuing(self, text: str) -> list[int]:
        """Return ids of a text behind a prompt, or behind a line break where its first letters would merge with the prompt's."""
        for before, known in self._contexts:
            both = self._encode(before + text)
            if both[: len(known)] == known:
                return both[len(known) :]
        return self._encode(text)

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return ids of each text where all are tokenized one behind the other; a token of two texts is the later's."""
        whole, starts = self._encode("".join(texts)), [0]
        for place in range(1, len(texts)):
            before = self._encode("".join(texts[:place]))
            starts.append(next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before)))
        return [whole[start:end] for start, end in zip(starts, [*starts[1:], len(whole)], strict=True)]

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=False))

    def _render(self, chat: Sequence[tuple[str, str]], add_generation_prompt: bool = False) -> str:
        try:
            return render(self.tokenizer, chat, add_generation_prompt)
        except Exception as error:  # a template is a program of the model's makers: it may fail in any way
            reason = " ".join(str(error).split())[:200]
            raise self._error(f"refuses the roles {', '.join(role for role, _ in chat)} ({reason})") from None

    def _error(self, fault: str) -> YapoError:
        return YapoError(f"{self.tokenizer.name_or_path}: the chat template {fault}; use an instruction-tuned model")


def with_plain_template(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return the tokenizer with ``PLAIN_TEMPLATE`` for its chat template: of a base model, whose prompts are raw texts."""
    plain = copy.copy(tokenizer)
    plain.chat_template = PLAIN_TEMPLATE
    return plain


def _between(prompt: str, opening: str) -> tuple[str, str]:
    """Return what a template writes between a prompt and the answer to it: what belongs to the prompt, and what to the answer.

    Some write a space (Mistral's); a template that ignores ``add_generation_prompt`` writes the header of the model's turn.
    """
    between = opening[len(prompt) :] if opening.startswith(prompt) else ""
    header = between.rstrip(" ") if between.strip() else ""
    return header, between[len(header) :]
