"""States of models at places of a text that do not depend on the tokenizer.

A place is the end of a token, counted in characters of the question or of the answer; (answer, 0) is the last token before the
answer, from which it is written. Two models are compared where a token of both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.chat_template import render
from yapo.models.language_model import LanguageModel
from yapo.models.sae_training import residual_states
from yapo.models.tokenizer import ANSWER, FIRST, ChatTokenizer

Chat = tuple[str, str]  # a question and its answer
Place = tuple[Literal["question", "answer"], int]


@dataclass(frozen=True)
class TextStates:
    """States of one model on some chats.

    Attributes:
        rows: the row of each place of each chat.
        states: float32 ``[rows, d_model]``.
    """

    rows: dict[tuple[int, Place], int]
    states: Tensor


def text_states(
    lm: LanguageModel, layer: int, chats: Sequence[Chat], batch_size: int, most_tokens: int, scratch: Path
) -> TextStates:
    """Run the unsteered model over chats.

    Args:
        lm: the model.
        layer: 0-based block whose output is kept.
        chats: in the order that is the same for both models.
        batch_size: chats of one forward pass.
        most_tokens: longer chats are left out.
        scratch: see ``residual_states``.

    Raises:
        YapoError: no chat is short enough, or the tokenizer cannot tell where its tokens end.
    """
    placed = {i: token_places(lm.tokenizer, *chat) for i, chat in enumerate(chats)}
    placed = {i: one for i, one in placed.items() if len(one[0]) <= most_tokens}
    if not placed:
        raise YapoError(f"model.max_prompt_tokens={most_tokens}: no chat is that short for {lm.source}; raise it")
    states = residual_states(lm, layer, [ids for ids, _ in placed.values()], batch_size, scratch)
    rows, start = dict[tuple[int, Place], int](), 0
    for i, (ids, places) in sorted(placed.items(), key=lambda one: len(one[1][0])):  # the order of ``residual_states``
        rows |= {(i, place): start + token - 1 for place, token in places.items() if token > 0}
        start += len(ids) - 1
    return TextStates(rows, states)


def paired_states(source: TextStates, target: TextStates) -> tuple[Tensor, Tensor]:
    """Return the states of both models at the places that they share, ``[n, d_source]`` and ``[n, d_target]``."""
    shared = [place for place in sorted(source.rows) if place in target.rows]
    return (
        source.states[torch.tensor([source.rows[place] for place in shared], dtype=torch.long)],
        target.states[torch.tensor([target.rows[place] for place in shared], dtype=torch.long)],
    )


def token_places(tokenizer: ChatTokenizer, question: str, answer: str) -> tuple[list[int], dict[Place, int]]:
    """Return ids of a chat, and the token that ends at each place; no place where the template changes the texts.

    Raises:
        YapoError: the tokenizer cannot tell where its tokens end.
    """
    raw = tokenizer.tokenizer
    if not raw.is_fast:
        raise YapoError(f"{raw.name_or_path}: its tokenizer does not say where tokens end; give one in the format tokenizer.json")
    text, frame = (render(raw, [("user", asked), ("assistant", told)]) for asked, told in ((question, answer), (FIRST, ANSWER)))
    before, _, rest = frame.partition(FIRST)
    between, _, after = rest.partition(ANSWER)
    encoded = raw(text, add_special_tokens=False, return_offsets_mapping=True)
    ends = [end for _, end in encoded["offset_mapping"]]
    places: dict[Place, int] = {}
    if text == before + question + between + answer + after:
        asked = len(before)
        answered = asked + len(question) + len(between)
        for token, end in enumerate(ends):  # of several tokens of one character the last counts
            if asked < end <= asked + len(question):
                places["question", end - asked] = token
            elif answered < end <= answered + len(answer):
                places["answer", end - answered] = token
        places["answer", 0] = next(token for token, end in enumerate(ends) if end > answered) - 1
    return list(encoded["input_ids"]), places
