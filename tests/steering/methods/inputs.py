"""A tiny store with known pairs, as every method receives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from torch import Tensor

from yapo.config import TrainConfig
from yapo.config.conf_files import CONF
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.method import ComparedPairs, FitInputs, Models
from yapo.steering.methods import get_method
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import VectorInfo

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


def no_model(_first: int) -> LanguageModel:
    raise AssertionError("a closed-form method must not load the model")


def no_autoencoder(_layer: int) -> SAE:
    raise AssertionError("only a method at layers of its own asks for other autoencoders")


NO_MODELS = Models(no_model, no_autoencoder, 0.0)


def conf_options(method: str) -> dict[str, Any]:
    """The options in the method's own file."""
    options: dict[str, Any] = yaml.safe_load((CONF / "method" / f"{method}.yaml").read_text(encoding="utf-8"))["options"]
    return options


def make_inputs(
    lm: LanguageModel, sae: SAE, folder: Path, method: str, options: dict[str, Any] | None = None, **changes: Any
) -> tuple[FitInputs, list[LogRow]]:
    """Inputs of all three settings, with the method's own options but for those given, and the list of logged rows."""
    log: list[LogRow] = []
    store = build_store(lm, LAYER, sae, PAIRS, batch_size=4)
    space = get_method(method).space
    inputs = FitInputs(
        store=store,
        rows=ROWS,
        sets=SETS,
        layer=LAYER,
        sae=sae,
        models=Models(lambda _first: lm, no_autoencoder, 0.0),
        train=TRAIN,
        options=conf_options(method) | (options or {}),
        info=VectorInfo(method, space.name, LAYER, lm.source, lm.digest, **space.header(sae)),
        log=log.append,
        checkpoint=folder / "checkpoint.safetensors",
    )
    return replace(inputs, **changes), log


def with_others(inputs: FitInputs, lm: LanguageModel, sae: SAE) -> FitInputs:
    """Two more countries, which answer the same questions in their own words."""
    answers = {"nepal": ([31, 24, 5], [18, 5]), "mexico": ([40, 41, 26, 5], [33, 5])}
    others = {}
    for name, given_answers in answers.items():
        pairs = [TokenPair(pair.prompt, given_answers[row % 4 // 2], pair.rejected) for row, pair in enumerate(PAIRS)]
        others[name] = ComparedPairs(build_store(lm, LAYER, sae, pairs, batch_size=4), ROWS)
    return replace(inputs, others=others)


def fit(inputs: FitInputs) -> dict[str, Tensor]:
    """Fit the method of the inputs; return its vectors by set, ``[epochs, width]`` each."""
    return {name: vector.epochs for name, vector in get_method(inputs.info.method).fit(inputs).items()}
