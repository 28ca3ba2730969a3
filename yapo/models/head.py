"""Log-probabilities of chosen tokens through a large vocabulary.

A vocabulary of 256,000 makes the logits of a batch larger than everything else in a training step. The head is frozen and each
result is one number, so its gradient with respect to the head's input is known as soon as the logits are:

    z = c·tanh(xWᵀ / c)  (or xWᵀ without a soft cap),   log p_t = z_t - log Σ exp z,
    ∂ log p_t / ∂x = (1 - (z_t / c)²)·W[t] - [softmax(z) ⊙ (1 - (z / c)²)] W.

Rows are taken a few at a time, both are computed while their logits exist, and the logits are dropped.
``tests/models/test_head.py`` holds it equal to autograd through the whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Logits held at once: 256 MiB of float32.
LOGITS = 2**26


def target_log_probs(x: Tensor, weight: Tensor, rows: Tensor, targets: Tensor, softcap: float | None) -> Tensor:
    """Return log-probabilities of some tokens.

    Args:
        x: inputs of the head, ``[n, d_model]``; gradients flow to them.
        weight: the frozen head, ``[vocabulary, d_model]``.
        rows: which input predicts a token, ``[tokens]``; an input may predict several.
        targets: the tokens, ``[tokens]``.
        softcap: c of the final soft cap, or None.

    Returns:
        float32, ``[tokens]``.
    """
    return _TargetLogProbs.apply(x, weight, rows, targets, softcap)  # type: ignore[no-any-return, no-untyped-call]


class _TargetLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rows: Tensor, targets: Tensor, softcap: float | None) -> Tensor:
        wants_gradient = ctx.needs_input_grad[0]
        result = torch.empty(len(targets), dtype=torch.float32, device=x.device)
        gradient = x.new_empty(len(targets), x.shape[1]) if wants_gradient else None
        chunk = max(1, LOGITS // len(weight))
        for start in range(0, len(x), chunk):
            mine = ((rows >= start) & (rows < start + chunk)).nonzero()[:, 0]
            row, target = rows[mine] - start, targets[mine]
            z = (x[start : start + chunk] @ weight.T).float()
            if softcap is not None:
                z = z.div_(softcap).tanh_().mul_(softcap)
            target_logit = z[row, target]
            highest = z.amax(dim=-1, keepdim=True)
            share = (z - highest).exp_()
            total = share.sum(dim=-1, keepdim=True)
            result[mine] = target_logit - (highest + total.log())[row, 0]
            if gradient is not None:
                target_weight = weight[target].float()
                if softcap is not None:
                    target_weight *= (1 - (target_logit / softcap).square())[:, None]
                    share.addcmul_(share * z.div_(softcap), z, value=-1)
                gradient[mine] = (target_weight - ((share / total).to(weight.dtype) @ weight).float()[row]).to(x.dtype)
        if gradient is not None:
            ctx.rows, ctx.inputs = rows, len(x)
            ctx.save_for_backward(gradient)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.inputs, gradient.shape[1])
        return total.index_add_(0, ctx.rows, grad[:, None] * gradient.float()).to(gradient.dtype), None, None, None, None


def pair_log_probs(x: Tensor, weight: Tensor, targets: Tensor, softcap: float | None, compiled: bool = False) -> Tensor:
    """Return log-probabilities of two tokens after each input; equal to ``target_log_probs`` without any data-dependent shape.

    Args:
        x: inputs of the head, ``[n, d_model]``; gradients flow to them.
        weight: the frozen head, ``[vocabulary, d_model]``.
        targets: ``[n, 2]``.
        softcap: c of the final soft cap, or None.
        compiled: read the logits twice instead of ten times, by operations that torch compiles.

    Returns:
        float32, ``[n, 2]``.
    """
    return _PairLogProbs.apply(x, weight, targets, softcap, compiled)  # type: ignore[no-any-return, no-untyped-call]


class _PairLogProbs(torch.autograd.Function):
    """Keeps, for the backward pass, the softmax's part of the gradient and the slope of the soft cap at both targets."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, softcap: float | None, compiled: bool) -> Tensor:
        parts = _compiled_softmax_parts() if compiled else _softmax_parts
        wants_gradient = ctx.needs_input_grad[0]
        result = torch.empty(targets.shape, dtype=torch.float32, device=x.device)
        slopes, shared = torch.ones_like(result), torch.empty_like(x) if wants_gradient else None
        chunk = max(1, LOGITS // len(weight))
        for start in range(0, len(x), chunk):
            part = slice(start, start + chunk)
            z = x[part] @ weight.T
            result[part], slopes[part], share = parts(z, targets[part], softcap, wants_gradient)
            if shared is not None and share is not None:
                shared[part] = share @ weight
        if shared is not None:
            ctx.save_for_backward(shared, slopes, weight, targets)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        shared, slopes, weight, targets = ctx.saved_tensors
        target_part = weight[targets].float() * (grad * slopes)[..., None]
        return (target_part.sum(dim=1) - grad.sum(dim=1, keepdim=True) * shared.float()).to(shared.dtype), None, None, None, None


def _softmax_parts(
    z: Tensor, targets: Tensor, softcap: float | None, wants_gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return log p and ∂z/∂(uncapped z) at the targets, ``[n, 2]``, and softmax(z) ⊙ ∂z/∂(uncapped z), ``[n, vocabulary]``."""
    dtype, z = z.dtype, z.float()
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    target_logit = z.gather(1, targets)
    total = z.logsumexp(dim=-1, keepdim=True)
    slopes = torch.ones_like(target_logit) if softcap is None else 1 - (target_logit / softcap).square()
    if not wants_gradient:
        return target_logit - total, slopes, None
    share = (z - total).exp()
    if softcap is not None:
        share = share * (1 - (z / softcap).square())
    return target_logit - total, slopes, share.to(dtype)


@cache
def _compiled_softmax_parts() -> Callable[..., tuple[Tensor, Tensor, Tensor | None]]:
    return torch.compile(_softmax_parts, dynamic=True)  # takes seconds to import, so not before it is needed
