"""Soft-capped attention against the library's own, values and gradients."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

from yapo.models.attention import softcapped_attention
from yapo.models.language_model import LanguageModel, causal, pad_left


def inputs(rows: int, key_heads: int, group: int, queries: int, keys: int, seed: int) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = [(rows, key_heads * group, queries, 8), (rows, key_heads, keys, 8), (rows, key_heads, keys, 8)]
    return [3.0 * torch.randn(shape, generator=g) for shape in shapes]


def masked(rows: int, queries: int, keys: int, seed: int) -> torch.Tensor:
    """At random, with one key allowed at least."""
    allowed = torch.rand(rows, 1, queries, keys, generator=torch.Generator().manual_seed(seed)) < 0.7
    allowed[..., 0] = True
    return torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 3),
    key_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    queries=st.integers(1, 5),
    keys=st.integers(1, 6),
    softcap=st.sampled_from([1.0, 5.0, 50.0]),
    seed=st.integers(0, 10_000),
)
def test_values_and_gradients(rows: int, key_heads: int, group: int, queries: int, keys: int, softcap: float, seed: int) -> None:
    mask, module = masked(rows, queries, keys, seed), SimpleNamespace(num_key_value_groups=group, training=False)
    results = []
    for attend in (softcapped_attention, eager_attention_forward):
        # in float64, since large gradients of opposite sign cancel; the models' tests run in float32
        tensors = [tensor.double().requires_grad_() for tensor in inputs(rows, key_heads, group, queries, keys, seed)]
        out, _ = attend(module, *tensors, mask, scaling=0.4, softcap=softcap)
        results.append([out, *torch.autograd.grad(out.square().sum(), tensors)])
        with torch.no_grad():
            torch.testing.assert_close(attend(module, *tensors, mask, scaling=0.4, softcap=softcap)[0], out)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_type(dtype: torch.dtype) -> None:
    exact = inputs(2, 2, 2, 4, 5, 0)
    mask, module = masked(2, 4, 5, 0), SimpleNamespace(num_key_value_groups=2, training=False)
    half = [tensor.to(dtype).requires_grad_() for tensor in exact]
    out, _ = softcapped_attention(module, *half, mask.clamp_min(torch.finfo(dtype).min).to(dtype), scaling=0.4, softcap=20.0)
    assert out.dtype == dtype
    expected, _ = eager_attention_forward(module, *exact, mask, scaling=0.4, softcap=20.0)
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.15)
    assert all(grad.dtype == dtype for grad in torch.autograd.grad(out.sum(), half))


def test_the_whole_model_is_the_same(gemma: LanguageModel) -> None:
    """With sliding windows and padding, through the library's forward pass."""
    ids, real = pad_left([[2, 9, 11, 30, 7, 12, 40, 41, 8, 10, 33], [2, 5, 6]], 0)
    positions, _ = causal(real)
    asked = {"input_ids": ids, "attention_mask": real.long(), "position_ids": positions}
    expected = gemma.model(**asked).logits
    gemma.model.set_attn_implementation("softcapped")
    found = gemma.model(**asked).logits
    gemma.model.set_attn_implementation("eager")
    torch.testing.assert_close(found[real], expected[real], rtol=1e-5, atol=1e-5)
    assert not torch.equal(found[real], expected[real])  # it was another computation
