"""Log-probabilities of chosen tokens through a large vocabulary.

A vocabulary of 256,000 makes the logits of a batch larger than everything else in a training step. The head is frozen and
each row's result is one number, so its gradient with respect to the row's input is known as soon as the row's logits are:

    log p = z_t - logsumexp(z),   z = c·tanh(xWᵀ / c)  (or xWᵀ without a soft cap),
    ∂ log p / ∂x = [(1_t - softmax(z)) ⊙ (1 - (z / c)²)] W.

Rows are taken a few at a time, both are computed while their logits exist, and the logits are dropped.
``tests/models/test_head.py`` holds it equal to autograd through the whole matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Logits held at once: 256 MiB of float32.
LOGITS = 2**26


def target_log_probs(x: Tensor, weight: Tensor, targets: Tensor, softcap: float | None) -> Tensor:
    """Log-probability of one token per row.

    Args:
        x: input of the head, ``[n, d_model]``; gradients flow to it.
        weight: the frozen head, ``[vocabulary, d_model]``.
        targets: token ids, ``[n]``.
        softcap: c of the final soft cap, or None.

    Returns:
        float32, ``[n]``.
    """
    return _TargetLogProbs.apply(x, weight, targets, softcap, max(1, LOGITS // len(weight)))  # type: ignore[no-any-return, no-untyped-call]


class _TargetLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, softcap: float | None, chunk: int) -> Tensor:
        wants_gradient = ctx.needs_input_grad[0]
        result = torch.empty(len(x), dtype=torch.float32, device=x.device)
        gradient = torch.empty_like(x) if wants_gradient else None
        for start in range(0, len(x), chunk):
            rows = slice(start, start + chunk)
            target = targets[rows, None]
            z = (x[rows] @ weight.T).float()
            if softcap is not None:
                z = z.div_(softcap).tanh_().mul_(softcap)
            log_total = z.logsumexp(dim=-1, keepdim=True)
            result[rows] = (z.gather(1, target) - log_total)[:, 0]
            if gradient is not None:
                slope = (z - log_total).exp_().neg_()
                slope.scatter_add_(1, target, torch.ones_like(target, dtype=slope.dtype))
                if softcap is not None:
                    slope.mul_(z.div_(softcap).square_().neg_().add_(1))
                gradient[rows] = slope.to(weight.dtype) @ weight
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (grad[:, None] * gradient).to(gradient.dtype), None, None, None, None
