"""A tiny store with known pairs, as every method receives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import TrainConfig
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.method import FitInputs
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet

LAYER = 1
TRAIN = TrainConfig(lr=0.05, epochs=2, batch_size=2, warmup_steps=1)
# Two training facts in both variants; fact c is validation.
PAIRS = [
    TokenPair([2, 9, 11, 30, 7, 8], [15, 16, 5], [15, 18, 19, 5]),
    TokenPair([2, 11, 30, 8], [15, 16, 5], [17, 5]),
    TokenPair([2, 9, 31, 32, 8], [23, 24, 25, 5], [23, 24, 28, 5]),
    TokenPair([2, 31, 32, 33, 8], [23, 5], [23, 24, 5]),
    TokenPair([2, 9, 40, 8], [21, 5], [22, 5]),
    TokenPair([2, 40, 41, 8], [21, 5], [22, 29, 5]),
]
ROWS = pd.DataFrame(
    {
        "question_id": ["a", "a", "b", "b", "c", "c"],
        "variant": ["localized", "nonlocalized"] * 3,
        "phrasing": [0] * 6,
        "split": ["train"] * 4 + ["validation"] * 2,
    }
)
SETS = [
    TrainSet("localized", [0, 2], [4]),
    TrainSet("nonlocalized", [1, 3], [5]),
    TrainSet("both", [0, 1, 2, 3], [4, 5]),
]


def no_model() -> LanguageModel:
    raise AssertionError("a closed-form method must not load the model")


def make_inputs(lm: LanguageModel, sae: SAE, folder: Path, **changes: Any) -> tuple[FitInputs, list[LogRow]]:
    """Inputs of all three settings, and the list that receives the logged rows."""
    log: list[LogRow] = []
    inputs = FitInputs(
        store=build_store(lm, LAYER, sae, PAIRS, batch_size=4),
        rows=ROWS,
        sets=SETS,
        layer=LAYER,
        sae=sae,
        language_model=lambda: lm,
        train=TRAIN,
        options={},
        log=log.append,
        checkpoint=folder / "checkpoint.safetensors",
    )
    return replace(inputs, **changes), log
