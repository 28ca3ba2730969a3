"""The norm in few operations against the library's, values and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm

from yapo.models.language_model import LanguageModel
from yapo.models.norm import RMSNorm, fuse_norms


def library_norm(width: int, seed: int) -> Gemma2RMSNorm:
    norm = Gemma2RMSNorm(width)
    norm.weight.data.normal_(std=0.5, generator=torch.Generator().manual_seed(seed))
    return norm.requires_grad_(False)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 40),
    scale=st.sampled_from([0.0, 1e-4, 1.0, 1e3]),
    seed=st.integers(0, 10_000),
)
def test_values_and_gradients(shape: list[int], width: int, scale: float, seed: int) -> None:
    g, theirs = torch.Generator().manual_seed(seed), library_norm(width, seed)
    x = (scale * torch.randn(*shape, width, generator=g)).requires_grad_()
    upstream, ours = torch.randn(*shape, width, generator=g), RMSNorm(theirs)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    (found,), (expected,) = (torch.autograd.grad((norm(x) * upstream).sum(), x) for norm in (ours, theirs))
    terms = (upstream * ours.scale / (x.detach().square().mean(dim=-1, keepdim=True) + ours.eps).sqrt()).abs().max()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(terms) + 1e-12)  # the terms may cancel


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_librarys(dtype: torch.dtype) -> None:
    theirs = library_norm(16, 0).to(dtype)
    x = torch.randn(7, 16, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    ours = RMSNorm(theirs)
    assert ours(x).dtype == dtype
    torch.testing.assert_close(ours(x), theirs(x))
    (found,), (expected,) = (torch.autograd.grad(norm(x).sum(), x) for norm in (ours, theirs))
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_the_whole_model_is_the_same(lm: LanguageModel) -> None:
    fused = copy.deepcopy(lm.model)
    fuse_norms(fused)
    ids = torch.tensor([[2, 9, 11, 30, 7, 12, 40, 41, 8, 10, 33]])
    torch.testing.assert_close(fused(input_ids=ids).logits, lm.model(input_ids=ids).logits, rtol=1e-5, atol=1e-5)
    replaced = sum(isinstance(module, RMSNorm) for module in fused.modules())
    assert replaced == (4 * lm.n_layers + 1 if lm.model.config.model_type == "gemma2" else 0)
