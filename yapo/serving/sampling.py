"""Choose the next token of rows that each have a temperature, a share of probability and a seed of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from yapo.evaluation.decoding.sampling import sample
from yapo.serving.row import DecodingOptions


def next_tokens(logits: Tensor, decodings: Sequence[DecodingOptions], lengths: Sequence[int]) -> Tensor:
    """Return one token a row, ``[rows]``. A sample depends on its row's seed and length alone, not on the batch.

    Args:
        logits: ``[rows, vocabulary]`` float32.
        decodings: of each row.
        lengths: tokens generated so far in each row.
    """
    chosen = logits.argmax(dim=-1)
    rows = [row for row, decoding in enumerate(decodings) if decoding.temperature > 0]
    if rows:
        device = logits.device
        temperatures = torch.tensor([decodings[row].temperature for row in rows], device=device)[:, None]
        shares = torch.tensor([decodings[row].top_p for row in rows], device=device)[:, None]
        seeds = torch.tensor([decodings[row].seed for row in rows], device=device)
        places = torch.tensor([lengths[row] for row in rows], device=device)
        drawn = sample(likeliest_share(logits[rows] / temperatures, shares), 1.0, seeds, places)
        chosen[torch.tensor(rows, device=device)] = drawn
    return chosen


def likeliest_share(logits: Tensor, shares: Tensor) -> Tensor:
    """Return logits in which tokens beyond the likeliest ones with this share of probability are -inf.

    Args:
        logits: ``[rows, vocabulary]``.
        shares: above 0 and at most 1, ``[rows, 1]``; the likeliest token always stays.
    """
    if bool((shares >= 1).all()):
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    beyond = (probabilities.cumsum(dim=-1) - probabilities >= shares) & (shares < 1)
    return logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), float("-inf"))
