"""The cancelled form of YaPO's eq. 3 against the equation as written, values and gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.models.sae import SAE
from yapo.steering.intervention import Dense, Sparse, sparse_edit_plain

EVERYWHERE = torch.ones(3, 5, dtype=torch.bool)


def _hidden(seed: int) -> torch.Tensor:
    return torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.01, 0.3, 1.0, 5.0]), d=st.sampled_from([-1.0, 1.0]))
def test_edit_equals_equation_3(sae: SAE, seed: int, scale: float, d: float) -> None:
    hidden, g = _hidden(seed), torch.Generator().manual_seed(seed + 1)
    v = (scale * torch.randn(64, generator=g)).requires_grad_()
    weights = torch.randn(3, 5, 32, generator=g)
    sparse = Sparse(sae)
    fast = sparse.edit(hidden, sparse.prepare(hidden), (d * v).expand(3, -1), EVERYWHERE)
    plain = sparse_edit_plain(sae, hidden, d * v)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=2e-5)
    (fast_grad,) = torch.autograd.grad((fast * weights).sum(), v)
    (plain_grad,) = torch.autograd.grad((plain * weights).sum(), v)
    torch.testing.assert_close(fast_grad, plain_grad, rtol=1e-4, atol=1e-4)


def test_at_zero_only_features_that_fire_get_a_gradient(sae: SAE) -> None:
    hidden, v = _hidden(0), torch.zeros(64, requires_grad=True)
    sparse = Sparse(sae)
    edited = sparse.edit(hidden, sparse.prepare(hidden), v.expand(3, -1), EVERYWHERE)
    (grad,) = torch.autograd.grad(edited.sum(), v)
    fires = (sae.encode(hidden) > 0).any(dim=0).any(dim=0)
    assert torch.equal(grad != 0, fires)


def test_jumprelu_keeps_the_threshold(sae: SAE) -> None:
    """SAS' own form: Dec(JumpReLU(s + u)) + h - Dec(s)."""
    hidden, u = _hidden(1), 0.4 * torch.randn(64, generator=torch.Generator().manual_seed(2))
    assert sae.threshold is not None
    shifted = sae.encode(hidden) + u
    plain = sae.decode(shifted * (shifted > sae.threshold)) + hidden - sae.decode(sae.encode(hidden))
    sparse = Sparse(sae, "jumprelu")
    torch.testing.assert_close(
        sparse.edit(hidden, sparse.prepare(hidden), u.expand(3, -1), EVERYWHERE), plain, rtol=1e-5, atol=2e-5
    )


def test_zero_is_the_identity_bit_for_bit(sae: SAE) -> None:
    hidden = _hidden(3)
    for intervention in (Dense(32), Sparse(sae)):
        u = torch.zeros(3, intervention.width)
        assert torch.equal(intervention.edit(hidden, intervention.prepare(hidden), u, EVERYWHERE), hidden)


def test_only_live_tokens_move(sae: SAE) -> None:
    hidden, live = _hidden(4), EVERYWHERE.clone()
    live[:, 0] = False
    for intervention in (Dense(32), Sparse(sae)):
        u = torch.ones(3, intervention.width)
        edited = intervention.edit(hidden, intervention.prepare(hidden), u, live)
        assert torch.equal(edited[:, 0], hidden[:, 0])
        assert not torch.isclose(edited[:, 1:], hidden[:, 1:]).all(dim=-1).any()
