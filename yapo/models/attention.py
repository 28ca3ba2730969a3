"""Attention with a soft cap on the scores (Gemma-2), which the fused kernels of torch do not have.

    scores = c·tanh(q·kᵀ·scale / c) + mask,   out = softmax(scores)·v

The library's own version ("eager") copies keys and values once per query head and keeps five score-sized tensors for the
backward pass. Here the query heads that share a key head are taken together, so nothing is copied, and two tensors are
kept: t = tanh(·) and p = softmax(·), from which ∂scores = c·(1 - t²) ⊙ p ⊙ (g - Σ g ⊙ p). ``tests/models/test_attention.py``
holds it equal to the library's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "softcapped"


class _CappedSoftmax(torch.autograd.Function):
    """softmax(c·tanh(x) + mask) over the last dimension, in the type of x; summed in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, cap: float) -> Tensor:
        wants_gradient = ctx.needs_input_grad[0]
        t = x.tanh() if wants_gradient else x.tanh_()
        p = torch.add(mask, t, alpha=cap).softmax(dim=-1, dtype=torch.float32).to(x.dtype)
        if wants_gradient:
            ctx.cap = cap
            ctx.save_for_backward(t, p)
        return p

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        t, p = ctx.saved_tensors
        slope = grad * p
        slope.addcmul_(p, slope.sum(dim=-1, keepdim=True), value=-1).mul_(ctx.cap)
        return slope.addcmul_(slope * t, t, value=-1), None, None


def softcapped_attention(
    module: nn.Module,  # noqa: ARG001 (the library's signature)
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    softcap: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """Compute attention, as transformers calls it.

    Args:
        module: the attention block; not used.
        query: ``[rows, heads, queries, head_dim]``.
        key, value: ``[rows, key heads, keys, head_dim]``.
        attention_mask: additive, ``[rows, 1, queries, keys]``.
        scaling: of the scores.
        softcap: c.

    Returns:
        ``[rows, queries, heads, head_dim]``, and no weights.
    """
    rows, heads, queries, head_dim = query.shape
    grouped = (query * (scaling / softcap)).reshape(rows, key.shape[1], -1, head_dim)
    x = (grouped @ key.transpose(2, 3)).view(rows, heads, queries, -1)
    if torch.compiler.is_compiling():  # fuses these operations by itself, and their gradient
        p = (softcap * x.tanh() + attention_mask).softmax(dim=-1, dtype=torch.float32).to(x.dtype)
    else:
        p = _CappedSoftmax.apply(x, attention_mask, softcap)  # type: ignore[no-untyped-call]
    out = p.view(rows, key.shape[1], -1, key.shape[2]) @ value
    return out.view(rows, heads, queries, head_dim).transpose(1, 2), None


AttentionInterface.register(NAME, softcapped_attention)
AttentionMaskInterface.register(NAME, eager_mask)
