"""Gemma's RMS norm in few operations: x / rms(x) ⊙ (1 + w), rms(x)² = mean x² + ε, in float32 whatever the type of x.

A Gemma-2 block norms four times, and the library's version is some twenty operations on a training step, each reading and
writing the whole residual stream. The backward pass is written out:

    n = x / rms(x),   ∂x = [g' - n · mean(g' ⊙ n)] / rms(x)   with g' = g ⊙ (1 + w).

``tests/models/test_norm.py`` holds it equal to the library's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, eps: float) -> Tensor:
        h = x.float()
        inverse = torch.linalg.vecdot(h, h).unsqueeze(-1).div_(h.shape[-1]).add_(eps).rsqrt_()
        n: Tensor = h * inverse
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(n, inverse, scale)
        return (n * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        n, inverse, scale = ctx.saved_tensors
        slope = grad.float() * scale
        along = torch.linalg.vecdot(slope, n).unsqueeze(-1).div_(n.shape[-1])
        return slope.addcmul_(n, along, value=-1).mul_(inverse).to(grad.dtype), None, None


class RMSNorm(nn.Module):
    """Replacement for a ``Gemma2RMSNorm`` whose weight is frozen."""

    scale: Tensor

    def __init__(self, norm: Gemma2RMSNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.register_buffer("scale", 1.0 + norm.weight.detach().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Norm ``[..., d_model]``."""
        if torch.compiler.is_compiling():  # fuses these operations by itself, and their gradient
            h = x.float()
            return (h * torch.rsqrt(h.square().mean(dim=-1, keepdim=True) + self.eps) * self.scale).to(x.dtype)
        return _RMSNorm.apply(x, self.scale, self.eps)  # type: ignore[no-any-return, no-untyped-call]


def fuse_norms(model: PreTrainedModel) -> None:
    """Replace the norms of a Gemma-2 model, in place; other models keep theirs."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Gemma2RMSNorm):
                setattr(module, name, RMSNorm(child))
