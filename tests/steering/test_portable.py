"""Free-standing vectors: the same steering without the autoencoder, the strongest features, the nearest constant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import yapo
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import sparse_edit_plain
from yapo.steering.portable import carry, pruned, stand_in
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 1
IDS = torch.tensor([[2, 9, 11, 30, 7, 12, 40, 41, 8]])


def sparse_vector(sae: SAE, touched: int = 20, **header: object) -> SteeringVector:
    g = torch.Generator().manual_seed(1)
    values = torch.zeros(64)
    values[torch.randperm(64, generator=g)[:touched]] = torch.randn(touched, generator=g)
    info = VectorInfo("yapo", "sparse", LAYER, "tiny", "", sae="nowhere", sae_digest=sae.digest, multiplier=1.5)
    return SteeringVector(values, replace(info, **header))  # type: ignore[arg-type]


def random_hidden(n: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(n, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("threshold", ["relu", "jumprelu"])
def test_a_carried_vector_steers_without_the_autoencoder(lm: LanguageModel, sae: SAE, tmp_path: Path, threshold: str) -> None:
    vector = sparse_vector(sae, threshold=threshold)
    carry(vector, sae).save(tmp_path / "v.safetensors")
    loaded = yapo.load_vector(tmp_path / "v.safetensors")
    assert len(loaded.values) == 20
    with yapo.steer(lm.model, vector, sae=sae):
        expected = lm.model(input_ids=IDS).logits
    with yapo.steer(lm.model, loaded):  # the file named in the header does not exist
        found = lm.model(input_ids=IDS).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    assert not torch.allclose(found, lm.model(input_ids=IDS).logits, atol=0.01)


def test_the_plain_relu_autoencoder_is_carried_too(gemma: LanguageModel, tmp_path: Path) -> None:
    from ..conftest import random_sae

    sae = replace(random_sae("relu"), apply_b_dec_to_input=True)
    vector = sparse_vector(sae)
    carry(vector, sae).save(tmp_path / "v.safetensors")
    with yapo.steer(gemma.model, vector, sae=sae):
        expected = gemma.model(input_ids=IDS).logits
    with yapo.steer(gemma.model, yapo.load_vector(tmp_path / "v.safetensors")):
        torch.testing.assert_close(gemma.model(input_ids=IDS).logits, expected, rtol=1e-5, atol=2e-5)


def test_what_cannot_be_carried(sae: SAE) -> None:
    from ..conftest import random_sae

    vector = sparse_vector(sae)
    with pytest.raises(YapoError, match="a dense vector touches no features"):
        carry(replace(vector, info=replace(vector.info, space="dense")), sae)
    with pytest.raises(YapoError, match=r"trained with nowhere \(.*\), not random relu"):
        carry(vector, random_sae("relu"))
    with pytest.raises(YapoError, match="the vector is zero everywhere"):
        carry(replace(vector, values=torch.zeros(64)), sae)
    topk = random_sae("topk")
    with pytest.raises(YapoError, match="TopK autoencoder cannot be cut"):
        carry(sparse_vector(topk), topk)


def test_pruning_keeps_the_features_that_reach_furthest(sae: SAE) -> None:
    sae = replace(sae, W_dec=sae.W_dec * torch.linspace(0.1, 3.0, 64)[:, None])
    values = sparse_vector(sae).values
    kept = pruned(values, sae, 5)
    reach = values.abs() * sae.W_dec.norm(dim=1)
    assert torch.equal(kept != 0, reach >= reach.sort().values[-5])
    assert torch.equal(kept[kept != 0], values[kept != 0])
    assert torch.equal(pruned(values, sae, 20), values)
    assert torch.equal(pruned(values, sae, 1000), values)


def test_the_stand_in_is_the_mean_change(any_sae: SAE) -> None:
    states, u = [random_hidden(4), random_hidden(7, seed=4)], sparse_vector(any_sae).values
    changes = torch.cat([sparse_edit_plain(any_sae, h, u) - h for h in states])
    made = stand_in(any_sae, "relu", u, states)
    torch.testing.assert_close(made.values, changes.mean(dim=0), rtol=1e-4, atol=1e-5)
    left = (changes - changes.mean(dim=0)).square().sum() / changes.square().sum()
    assert made.explained == pytest.approx(float(1 - left), abs=1e-4)


def test_a_change_that_is_the_same_everywhere_is_explained_whole(sae: SAE) -> None:
    """A positive entry of a feature that fires nowhere moves every token alike."""
    silent = replace(sae, threshold=torch.full((64,), 1e6))
    u = torch.zeros(64).index_fill(0, torch.tensor([3, 8]), 2.0)
    made = stand_in(silent, "relu", u, [random_hidden(6)])
    torch.testing.assert_close(made.values, 2.0 * (sae.W_dec[3] + sae.W_dec[8]), rtol=1e-4, atol=1e-5)
    assert made.explained == pytest.approx(1.0, abs=1e-4)


def entering_next_block(lm: LanguageModel) -> torch.Tensor:
    """The input of the block above ``LAYER``; the library's own ``output_hidden_states`` may look before the edit."""
    seen: list[torch.Tensor] = []
    hook = lm.model.model.layers[LAYER + 1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    lm.model(input_ids=IDS)
    hook.remove()
    return seen[0]


def test_the_stand_in_travels_with_the_vector(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    dense = torch.linspace(-1, 1, 32)
    vector = replace(carry(sparse_vector(sae), sae), dense=dense)
    vector.save(tmp_path / "v.safetensors")
    replacement = yapo.load_vector(tmp_path / "v.safetensors").stand_in()
    assert (replacement.info.space, replacement.info.multiplier) == ("dense", 1.0)
    with yapo.steer(gemma.model, replacement):
        found = entering_next_block(gemma)
    expected = entering_next_block(gemma)
    torch.testing.assert_close(found[:, 1:], expected[:, 1:] + dense, rtol=1e-5, atol=1e-5)
    with pytest.raises(YapoError, match="no dense stand-in"):
        sparse_vector(sae).stand_in()
