"""The cancelled form of YaPO's eq. 3 against the equation as written, values and gradients, for every kind of autoencoder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Intervention, Sparse, sparse_edit_plain
from yapo.steering.sparse_codes import SparseCodes

EVERYWHERE = torch.ones(3, 5, dtype=torch.bool)
ONE = torch.zeros(3, 1, dtype=torch.long)  # every row moved by the same vector


def _hidden(seed: int) -> torch.Tensor:
    return torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(seed))


def _edit(intervention: Intervention, hidden: torch.Tensor, u: torch.Tensor, live: torch.Tensor = EVERYWHERE) -> torch.Tensor:
    return intervention.edit(hidden, intervention.codes(hidden), intervention.edit_state(u[None]), ONE, live)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.01, 0.3, 1.0, 5.0]), d=st.sampled_from([-1.0, 1.0]))
def test_edit_equals_equation_3(any_sae: SAE, seed: int, scale: float, d: float) -> None:
    hidden, g = _hidden(seed), torch.Generator().manual_seed(seed + 1)
    v = (scale * torch.randn(64, generator=g)).requires_grad_()
    weights = torch.randn(3, 5, 32, generator=g)
    fast = _edit(Sparse(any_sae), hidden, d * v)
    plain = sparse_edit_plain(any_sae, hidden, d * v)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=2e-5)
    (fast_grad,) = torch.autograd.grad((fast * weights).sum(), v)
    (plain_grad,) = torch.autograd.grad((plain * weights).sum(), v)
    torch.testing.assert_close(fast_grad, plain_grad, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), touched=st.integers(0, 64))
def test_features_that_u_leaves_alone_cancel(any_sae: SAE, seed: int, touched: int) -> None:
    """Encoding only the touched features gives the same edit."""
    hidden, g = _hidden(seed), torch.Generator().manual_seed(seed + 1)
    u = torch.zeros(64)
    u[torch.randperm(64, generator=g)[:touched]] = 1.0
    u = u * torch.randn(64, generator=g)
    narrow, small = Sparse(any_sae).restrict(u[None])
    assert narrow.width == (touched or 64)
    torch.testing.assert_close(_edit(narrow, hidden, small[0]), sparse_edit_plain(any_sae, hidden, u), rtol=1e-5, atol=2e-5)
    again, smaller = narrow.restrict(small * (small > 0))
    expected = sparse_edit_plain(any_sae, hidden, u.clamp_min(0))
    torch.testing.assert_close(_edit(again, hidden, smaller[0]), expected, rtol=1e-5, atol=2e-5)


def test_each_token_is_moved_by_its_own_vector(any_sae: SAE) -> None:
    hidden, u = _hidden(6), torch.randn(2, 64, generator=torch.Generator().manual_seed(7))
    for intervention in (Dense(32), Sparse(any_sae)):
        own, owner = u[:, : intervention.width], torch.tensor([[1, 1, 0, 0, 1], [0] * 5, [1] * 5])
        edited = intervention.edit(hidden, intervention.codes(hidden), intervention.edit_state(own), owner, EVERYWHERE)
        each = torch.stack([_edit(intervention, hidden, u) for u in own])
        expected = each.gather(0, owner[None, :, :, None].expand(1, 3, 5, 32))[0]
        torch.testing.assert_close(edited, expected, rtol=1e-5, atol=1e-5)


def test_at_zero_only_features_that_fire_get_a_gradient(any_sae: SAE) -> None:
    hidden, v = _hidden(0), torch.zeros(64, requires_grad=True)
    (grad,) = torch.autograd.grad(_edit(Sparse(any_sae), hidden, v).sum(), v)
    fires = (any_sae.encode(hidden) > 0).any(dim=0).any(dim=0)
    assert torch.equal(grad != 0, fires)


def test_fitted_keeps_the_features_that_fire(any_sae: SAE) -> None:
    """Value and gradient of an edit of two tokens, in the space of the features that fire on them."""
    hidden = _hidden(8)[:1, :2]
    sparse = Sparse(any_sae)
    narrow, codes = sparse.compact([sparse.codes(hidden)])
    fires = (any_sae.encode(hidden) > 0)[0].any(dim=0)
    assert narrow.width == int(fires.sum()) < 64
    small = (0.3 * torch.randn(narrow.width, generator=torch.Generator().manual_seed(9))).requires_grad_()
    wide = narrow.expand(small.detach()).requires_grad_()
    assert not wide[~fires].any()
    live, owner = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[0]])
    (code,) = codes
    wide_codes = SparseCodes(code.ids.long(), code.values, code.counts)
    fast = narrow.edit(hidden, wide_codes, narrow.edit_state(small[None]), owner, live)
    plain = sparse_edit_plain(any_sae, hidden, wide)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=2e-5)
    (fast_grad,) = torch.autograd.grad(fast.square().sum(), small)
    (plain_grad,) = torch.autograd.grad(plain.square().sum(), wide)
    torch.testing.assert_close(fast_grad, plain_grad[fires], rtol=1e-4, atol=1e-4)


def test_an_autoencoder_that_never_fires_is_refused(sae: SAE) -> None:
    nothing = SparseCodes(torch.zeros(0, dtype=torch.long), torch.zeros(0), torch.zeros(1, 4, dtype=torch.long))
    with pytest.raises(YapoError, match="no feature fires on any training token"):
        Sparse(sae).compact([nothing])


def test_jumprelu_keeps_the_threshold(sae: SAE) -> None:
    """SAS' own form: Dec(JumpReLU(s + u)) + h - Dec(s)."""
    hidden, u = _hidden(1), 0.4 * torch.randn(64, generator=torch.Generator().manual_seed(2))
    u[::3] = 0
    assert sae.threshold is not None
    shifted = sae.encode(hidden) + u
    plain = sae.decode(shifted * (shifted > sae.threshold)) + hidden - sae.decode(sae.encode(hidden))
    sparse = Sparse(sae, "jumprelu")
    narrow, small = sparse.restrict(u[None])
    torch.testing.assert_close(_edit(sparse, hidden, u), plain, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(_edit(narrow, hidden, small[0]), plain, rtol=1e-5, atol=2e-5)


def test_zero_is_the_identity_bit_for_bit(any_sae: SAE) -> None:
    hidden = _hidden(3)
    for intervention in (Dense(32), Sparse(any_sae)):
        assert torch.equal(_edit(intervention, hidden, torch.zeros(intervention.width)), hidden)


def test_only_live_tokens_move(any_sae: SAE) -> None:
    hidden, live = _hidden(4), EVERYWHERE.clone()
    live[:, 0] = False
    for intervention in (Dense(32), Sparse(any_sae)):
        edited = _edit(intervention, hidden, torch.ones(intervention.width), live)
        assert torch.equal(edited[:, 0], hidden[:, 0])
        assert not torch.isclose(edited[:, 1:], hidden[:, 1:]).all(dim=-1).any()


def test_displacement_is_the_mean_length_of_the_change(any_sae: SAE) -> None:
    hidden, u, live = _hidden(5), torch.randn(64, generator=torch.Generator().manual_seed(1)), EVERYWHERE.clone()
    live[1, 2:] = False
    expected = (sparse_edit_plain(any_sae, hidden, u) - hidden)[live].norm(dim=-1).mean()
    assert Sparse(any_sae).displacement(hidden, u, live) == pytest.approx(float(expected), rel=1e-4)
    assert Dense(32).displacement(hidden, u[:32], live) == pytest.approx(float(u[:32].norm()), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_arithmetic_is_float32_whatever_the_model(any_sae: SAE, dtype: torch.dtype) -> None:
    hidden, u = _hidden(10).to(dtype), torch.randn(64, generator=torch.Generator().manual_seed(3))
    edited = _edit(Sparse(any_sae), hidden, u)
    assert edited.dtype == dtype
    expected = sparse_edit_plain(any_sae, hidden.float(), u)
    torch.testing.assert_close(edited, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-3)
