"""Chunked log-probabilities and their gradient against autograd through the whole matrix of logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.models import head
from yapo.models.head import target_log_probs


def plain(
    x: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor, softcap: float | None
) -> torch.Tensor:
    logits = (x @ weight.T).float()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return torch.log_softmax(logits, dim=-1)[rows, targets]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 7),
    tokens=st.integers(0, 9),
    vocabulary=st.integers(1, 40),
    scale=st.sampled_from([0.1, 1.0, 6.0]),
    softcap=st.sampled_from([None, 2.0, 30.0]),
    seed=st.integers(0, 10_000),
)
def test_values_and_gradients(n: int, tokens: int, vocabulary: int, scale: float, softcap: float | None, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x, weight = scale * torch.randn(n, 8, generator=g), torch.randn(vocabulary, 8, generator=g)
    rows, targets = torch.randint(n, (tokens,), generator=g), torch.randint(vocabulary, (tokens,), generator=g)
    upstream = torch.randn(tokens, generator=g)
    fast_x, plain_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    fast, expected = target_log_probs(fast_x, weight, rows, targets, softcap), plain(plain_x, weight, rows, targets, softcap)
    torch.testing.assert_close(fast, expected, rtol=1e-5, atol=2e-5)
    (fast * upstream).sum().backward()
    (expected * upstream).sum().backward()
    torch.testing.assert_close(fast_x.grad, plain_x.grad, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    g = torch.Generator().manual_seed(0)
    x, weight, targets = torch.randn(7, 8, generator=g), torch.randn(30, 8, generator=g), torch.arange(9)
    of = torch.tensor([6, 0, 0, 1, 2, 3, 4, 5, 6])
    monkeypatch.setattr(head, "LOGITS", 30 * rows)
    fast_x, plain_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    fast = target_log_probs(fast_x, weight, of, targets, 5.0)
    expected = plain(plain_x, weight, of, targets, 5.0)
    torch.testing.assert_close(fast, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(fast.sum(), fast_x), torch.autograd.grad(expected.sum(), plain_x), rtol=1e-5, atol=1e-5
    )


def test_bfloat16_stays_close_and_keeps_its_type() -> None:
    g = torch.Generator().manual_seed(0)
    x, weight = torch.randn(5, 16, generator=g).bfloat16().requires_grad_(), torch.randn(30, 16, generator=g).bfloat16()
    log_probs = target_log_probs(x, weight, torch.arange(5), torch.arange(5), 30.0)
    assert log_probs.dtype == torch.float32
    log_probs.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    exact = x.detach().float().requires_grad_()
    plain(exact, weight.float(), torch.arange(5), torch.arange(5), 30.0).sum().backward()
    torch.testing.assert_close(x.grad.float(), exact.grad, rtol=0.02, atol=0.05)


def test_without_gradient_nothing_is_kept() -> None:
    x = torch.randn(3, 4)
    assert target_log_probs(x, torch.randn(9, 4), torch.arange(3), torch.tensor([0, 8, 4]), None).grad_fn is None
