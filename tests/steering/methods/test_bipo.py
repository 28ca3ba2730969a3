"""BiPO is the trainer with a dense vector."""

from __future__ import annotations

from pathlib import Path

import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.trainer import Trainer

from .inputs import LAYER, SETS, TRAIN, fit, make_inputs


def test_fit_equals_the_trainer(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, log = make_inputs(lm, sae, tmp_path, "bipo")
    vectors = fit(inputs)
    rows: list[LogRow] = []
    expected = Trainer(lm, LAYER, Dense(lm.d_model), inputs.store, TRAIN).train(SETS, rows.append)
    assert {name: vector.shape for name, vector in vectors.items()} == {part.name: (2, 32) for part in SETS}
    assert all(torch.equal(vectors[part.name], expected[part.name]) for part in SETS)
    assert all(vector.any() for vector in vectors.values())
    assert log == rows
