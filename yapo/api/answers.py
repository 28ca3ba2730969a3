"""Greedy answers of a model to prompts and conversations, under whatever steers it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from yapo.models.language_model import LanguageModel, pad_left

if TYPE_CHECKING:
    from transformers.generation.streamers import BaseStreamer

BATCH = 16  # prompts of one generation


def answers(lm: LanguageModel, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """Return the answer to each prompt, in their order; prompts of about one length are run together."""
    ids = [lm.tokenizer.prompt(prompt) for prompt in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    made = [""] * len(ids)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        for i, text in zip(part, _generated(lm, [ids[i] for i in part], max_new_tokens), strict=True):
            made[i] = text
    return made


def reply(lm: LanguageModel, turns: Sequence[str], max_new_tokens: int, streamer: BaseStreamer | None = None) -> str:
    """Return the answer to a conversation whose turns alternate and end with the user's.

    Args:
        lm: the model.
        turns: what user and model said.
        max_new_tokens: the longest answer.
        streamer: receives tokens as they are made.
    """
    return _generated(lm, [lm.tokenizer.conversation(turns)], max_new_tokens, streamer)[0]


@torch.inference_mode()
def _generated(lm: LanguageModel, rows: list[list[int]], max_new_tokens: int, streamer: BaseStreamer | None = None) -> list[str]:
    ids, real = pad_left(rows, lm.tokenizer.pad, lm.device)
    written = lm.model.generate(
        ids,
        attention_mask=real.long(),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=sorted(lm.tokenizer.ends),
        pad_token_id=lm.tokenizer.pad,
        streamer=streamer,
    )
    return [lm.tokenizer.decode(row[ids.shape[1] :].tolist()) for row in written]
