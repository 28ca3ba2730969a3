"""Coherence of a completion: two measures that need no judge.

``log_prob``: mean over the completion's tokens of log p(token | prompt, tokens before it) under the *unsteered* model, in nats;
the perplexity is exp(-log_prob). The tokens are those of the completion's text and the end of the turn, so that an empty
completion has a value too; a completion that was cut off at the length limit is charged for the end that it did not reach. It
falls when text breaks down, and also when steering makes the model say what it would not have said by itself: compare it with
``log_prob`` of the right answers.

``repeated``: share of repeated n-grams, 1 - (distinct n-grams) / (n-grams), over the tokens of the text with n = 3; 0 where
there are fewer than n tokens. Loops are likely text under a language model, so ``log_prob`` alone does not see them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from yapo.models.language_model import LanguageModel, causal, pad_left

NGRAM = 3


def coherence(lm: LanguageModel, prompts: Sequence[list[int]], texts: Sequence[str], batch_size: int) -> pd.DataFrame:
    """Return ``log_prob`` and ``repeated`` of every completion, in order.

    Args:
        lm: the model, which nothing steers here.
        prompts: token ids of the prompt of each completion.
        texts: completions as decoded.
        batch_size: rows of one forward pass. What several conditions answered alike is run once.
    """
    ends = [lm.tokenizer.response(text) for text in texts]
    pairs = [(tuple(prompt), tuple(end)) for prompt, end in zip(prompts, ends, strict=True)]
    distinct = sorted(set(pairs), key=lambda pair: (len(pair[0]) + len(pair[1]), pair))
    found = dict(zip(distinct, _mean_log_probs(lm, distinct, batch_size), strict=True))
    return pd.DataFrame({"log_prob": [found[pair] for pair in pairs], "repeated": [repeated(end[:-1]) for end in ends]})


def repeated(tokens: Sequence[int], n: int = NGRAM) -> float:
    """Return the share of n-grams that occurred before in the same text."""
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


@torch.inference_mode()
def _mean_log_probs(lm: LanguageModel, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], batch_size: int) -> list[float]:
    means: list[float] = []
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        ids, real = pad_left([[*prompt, *end[:-1]] for prompt, end in batch], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks = lm.masks(allowed, positions, positions)
        longest = max(len(end) for _, end in batch)  # rows end together, so the last tokens of each predict its completion
        read = torch.arange(ids.shape[1] - longest, ids.shape[1], device=lm.device).expand(len(batch), -1)
        top = lm.blocks(lm.embed(ids), 0, lm.n_layers, positions, masks, read=read)
        lengths = torch.tensor([len(end) for _, end in batch], device=lm.device)
        row = torch.arange(len(batch), device=lm.device).repeat_interleave(lengths)
        place = torch.cat([torch.arange(longest - len(end), longest, device=lm.device) for _, end in batch])
        targets = torch.tensor([token for _, end in batch for token in end], device=lm.device)
        states = top[row, place]
        log_probs = lm.target_log_probs(states, torch.arange(len(states), device=lm.device), targets)
        summed = torch.zeros(len(batch), dtype=torch.float32, device=lm.device).index_add(0, row, log_probs)
        means += (summed / lengths).tolist()
    return means
