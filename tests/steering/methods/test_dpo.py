"""The one-sided DPO vector is BiPO trained at d = +1 alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense
from yapo.steering.training.trainer import Trainer

from .inputs import LAYER, SETS, TRAIN, fit, make_inputs


def test_fit_trains_one_direction(lm: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, log = make_inputs(lm, sae, tmp_path, "dpo")
    vectors = fit(inputs)
    trainer = Trainer(lm, LAYER, Dense(lm.d_model), inputs.store, replace(TRAIN, directions="positive"))
    expected = trainer.train(SETS, lambda _row: None)
    assert all(torch.equal(vectors[part.name], expected[part.name]) and vectors[part.name].any() for part in SETS)
    assert {row["d"] for row in log if row["kind"] == "step"} == {1}
    bipo, _ = make_inputs(lm, sae, tmp_path, "bipo")
    assert any(not torch.equal(vectors[part.name], fit(bipo)[part.name]) for part in SETS)
