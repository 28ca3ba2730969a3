"""LAT against its description, pair by pair."""

from __future__ import annotations

from pathlib import Path

import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.contrast import contrast_states
from yapo.steering.methods.lat import random_differences

from .inputs import NO_MODELS, SETS, TRAIN, fit, make_inputs
from .test_pca import expected_vector


def test_component_of_random_differences(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(lm, sae, tmp_path, "lat", models=NO_MODELS)
    vectors = fit(inputs)
    positive, negative = contrast_states(inputs, SETS[0], "prompt")
    states = [*positive, *negative]
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(TRAIN.seed)).tolist()
    half, rows = len(states) // 2, []
    for k in range(half):
        difference = states[order[k]] - states[order[half + k]]
        rows.append(difference / difference.norm())
    expected = expected_vector(positive, negative, torch.stack(rows) - torch.stack(rows).mean(dim=0))
    for part in SETS:
        torch.testing.assert_close(vectors[part.name][0], expected, rtol=1e-3, atol=1e-4)


def test_equal_states_differ_by_nothing() -> None:
    differences = random_differences(torch.ones(6, 3), seed=0)
    assert differences.shape == (3, 3) and not differences.any()


def test_the_seed_decides_the_pairs() -> None:
    states = torch.eye(8)
    assert torch.equal(random_differences(states, 1), random_differences(states, 1))
    assert not torch.equal(random_differences(states, 1), random_differences(states, 2))
