"""Explained variance and L0 of an autoencoder against their formulas, and the refusal of a poor one."""

from __future__ import annotations

import pytest
import torch

from yapo.errors import YapoError
from yapo.models.sae import SAE
from yapo.models.sae_quality import check_quality, measure, reconstruction_quality


def states(scale: float = 1.0) -> list[torch.Tensor]:
    """Three texts around a mean that is not 0."""
    generator = torch.Generator().manual_seed(2)
    return [scale * (torch.randn(n, 32, generator=generator) + 0.5) for n in (5, 1, 9)]


@pytest.mark.parametrize("dense_codes", [1, 3 * 64, 2**26])
def test_equals_a_plain_loop(any_sae: SAE, monkeypatch: pytest.MonkeyPatch, dense_codes: int) -> None:
    monkeypatch.setattr("yapo.models.sae_quality.DENSE_CODES", dense_codes)
    rows = [row.tolist() for text in states() for row in text]
    mean = [sum(row[i] for row in rows) / len(rows) for i in range(32)]
    residual = variance = fired = 0.0
    for row in rows:
        s = any_sae.encode(torch.tensor(row))
        decoded = any_sae.decode(s).tolist()
        residual += sum((h - d) ** 2 for h, d in zip(row, decoded, strict=True))
        variance += sum((h - m) ** 2 for h, m in zip(row, mean, strict=True))
        fired += sum(value > 0 for value in s.tolist())
    explained, l0 = reconstruction_quality(any_sae, states())
    assert explained == pytest.approx(1 - residual / variance, abs=1e-6)
    assert l0 == fired / len(rows)


def test_features_that_never_fire(sae: SAE) -> None:
    fired = {j for text in states() for row in text for j in sae.encode(row).nonzero().flatten().tolist()}
    report = measure(sae, states())
    assert 0 < len(fired) < 64
    assert report.dead_fraction == 1 - len(fired) / 64
    assert report.n_tokens == 15
    assert (report.explained_variance, report.mean_l0) == reconstruction_quality(sae, states())


def test_half_precision_states(sae: SAE) -> None:
    rounded = [text.bfloat16() for text in states()]
    assert reconstruction_quality(sae, rounded) == reconstruction_quality(sae, [text.float() for text in rounded])


def test_a_perfect_autoencoder_explains_everything() -> None:
    """Features e_i and -e_i reconstruct any state; each nonzero coordinate fires one of them."""
    eye = torch.eye(32)
    both = torch.cat([eye, -eye])
    zeros = torch.zeros(64), torch.zeros(32)
    perfect = SAE(both.T.contiguous(), zeros[0], both, zeros[1], "relu", None, None, False, "perfect", None, None, None)
    explained, l0 = reconstruction_quality(perfect, states())
    assert explained == pytest.approx(1, abs=1e-9)
    assert l0 == 32


def test_the_limit(sae: SAE) -> None:
    check_quality(sae, 0.5, 0.5)
    for value in (0.49, -3.0, float("nan")):
        with pytest.raises(YapoError, match=rf"random jumprelu: explains {value:.3f} of .*sae.min_explained_variance=0.5"):
            check_quality(sae, value, 0.5)
