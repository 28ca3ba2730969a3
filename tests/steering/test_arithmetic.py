"""Sums and multiples of vectors, and several vectors at once, against what they mean for the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import yapo
from tests.refusals import refused
from tests.steering.test_steer import make_vector, padded
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.vector import SteeringVector

PROMPTS = [[2, 9, 11, 30, 7], [2, 5, 6]]


def other(vector: SteeringVector, **header: object) -> SteeringVector:
    values = torch.randn(len(vector.values), generator=torch.Generator().manual_seed(9))
    return SteeringVector(values, replace(vector.info, **header))  # type: ignore[arg-type]


def logits(lm: LanguageModel, vector: object, sae: SAE, multiplier: object = None) -> torch.Tensor:
    with yapo.steer(lm.model, vector, multiplier, sae=sae):  # type: ignore[arg-type]
        found: torch.Tensor = lm.model(**padded(PROMPTS)).logits
    return found


def test_a_sum_of_dense_vectors_steers_as_both_do(gemma: LanguageModel, sae: SAE) -> None:
    v = make_vector("dense", sae, multiplier=2.0)
    w = other(v, method="bipo", multiplier=-0.5)
    total = v + w
    torch.testing.assert_close(logits(gemma, total, sae), logits(gemma, [v, w], sae), rtol=1e-4, atol=1e-4)
    assert (total.info.multiplier, total.info.method) == (1.0, "caa + bipo")
    assert [term["multiplier"] for term in total.info.extra["sum"]] == [2.0, -0.5]


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_multiples(gemma: LanguageModel, sae: SAE, space: str, tmp_path: Path) -> None:
    v = make_vector(space, sae, multiplier=1.5)
    assert torch.equal((0.5 * v).values, (v * 0.5).values)
    torch.testing.assert_close(logits(gemma, 0.5 * v, sae), logits(gemma, v, sae, 0.75), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(gemma, -v, sae), logits(gemma, v, sae, -1.5), rtol=1e-4, atol=1e-4)
    assert not (v - v).values.any()
    (2 * (v + v)).save(tmp_path / "v.safetensors")
    loaded = yapo.load_vector(tmp_path / "v.safetensors")
    assert torch.equal(loaded.values, 6 * v.values) and loaded.info.extra["factor"] == 2.0


def test_several_layers_at_once_are_nested_blocks(gemma: LanguageModel, sae: SAE) -> None:
    v = make_vector("sparse", sae)
    w = other(make_vector("dense", sae), layer=2)
    with yapo.steer(gemma.model, v, 0.5, sae=sae), yapo.steer(gemma.model, w, 2.0):
        nested = gemma.model(**padded(PROMPTS)).logits
    assert torch.equal(logits(gemma, [v, w], sae, [0.5, 2.0]), nested)
    assert torch.equal(logits(gemma, (v, w), sae, 0), gemma.model(**padded(PROMPTS)).logits)


BAD: dict[str, tuple[Callable[[SteeringVector, SteeringVector], object], tuple[str, ...]]] = {
    "another layer": (lambda v, _: v + other(v, layer=2), ("layer: 1 and 2", "in a list")),
    "another model": (lambda v, _: v - other(v, model_digest="abc"), ("model_digest: '' and 'abc'",)),
    "another space": (lambda v, w: v + w, ("space: 'dense' and 'sparse'",)),
    "another autoencoder": (lambda _, w: w + other(w, sae_digest="abc"), ("sae_digest",)),
    "infinite": (lambda v, _: float("inf") * v, ("factor=inf", "finite")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_has_no_sum_is_refused(sae: SAE, case: str) -> None:
    made, parts = BAD[case]
    refused(lambda: made(make_vector("dense", sae), make_vector("sparse", sae)), *parts)


def test_only_numbers_and_vectors_take_part(sae: SAE) -> None:
    v = make_vector("dense", sae)
    for made in (lambda: v + 1, lambda: v * "2", lambda: v * v, lambda: v - None):  # type: ignore[operator]
        with pytest.raises(TypeError):
            made()


def test_lists_that_cannot_steer(gemma: LanguageModel, sae: SAE) -> None:
    v = make_vector("dense", sae)
    refused(lambda: yapo.steer(gemma.model, []), "vector=[]", "at least one")
    refused(lambda: yapo.steer(gemma.model, [v, v], [1.0]), "multiplier: 1 numbers for 2 vectors")
    refused(lambda: logits(gemma, [v, "v.safetensors"], sae), "not a steering vector")
