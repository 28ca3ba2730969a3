"""The logit lens: tokens whose logits a direction of the residual stream raises."""

from __future__ import annotations

import torch
from torch import Tensor

from yapo.models.language_model import LanguageModel
from yapo.models.token_text import token_name

HEAD_ROWS = 2**14  # rows of the unembedding turned to float32 at once


@torch.no_grad()
def token_logits(lm: LanguageModel, directions: Tensor) -> Tensor:
    """Return how far residual directions move each token's logit, up to a positive factor (the logit lens).

    W_U (g ⊙ d), where g is the weight of the final RMS norm (1 + w in Gemma). The norm's division by the size of the residual
    stream is the same for all tokens, and the final soft cap keeps their order.

    Args:
        lm: the model; its blocks are not needed.
        directions: ``[n, d_model]``.

    Returns:
        float32 ``[n, vocabulary]`` on the CPU.
    """
    folded = directions.to(lm.device).float() * final_norm_weight(lm)
    weight: Tensor = lm.model.lm_head.weight
    return torch.cat([(folded @ part.float().T).cpu() for part in torch.split(weight, HEAD_ROWS)], dim=1)


def final_norm_weight(lm: LanguageModel) -> Tensor:
    """Return g of the final norm x / rms(x) ⊙ g, ``[d_model]``: the norm of ones, exact up to its ε, for any class of norm."""
    ones = torch.ones(lm.d_model, dtype=lm.dtype, device=lm.device)
    weight: Tensor = lm.model.model.norm(ones).float()
    return weight


def raised_tokens(lm: LanguageModel, directions: Tensor, count: int) -> list[list[str]]:
    """Return the tokens that each direction ``[n, d_model]`` raises most, most first, as a reader sees them."""
    order = token_logits(lm, directions).topk(count, dim=1).indices
    return [[token_name(lm.tokenizer.tokenizer, token) for token in row] for row in order.tolist()]
