"""The weights in the repository are what their card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from world.build.corpus import Corpus
from world.build.measures import LAYERS, accuracy, residuals
from yapo.config import ModelConfig
from yapo.data.atlas import load_atlas
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import check_fits, load_sae

WORLD = Path(__file__).resolve().parents[2] / "world"


@pytest.fixture(scope="module")
def shipped() -> LanguageModel:
    return load_language_model(ModelConfig(path=str(WORLD / "model")))


def test_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in WORLD.rglob("*") if path.is_file()) <= 20 * 2**20


@pytest.mark.slow
def test_the_model_knows_and_has_a_localization_gap(shipped: LanguageModel) -> None:
    """Accuracy on a third of all items (one wording), mean over countries, both tasks."""
    means = accuracy(shipped, phrasings=(0,)).groupby(["task", "variant"])["accuracy"].mean()
    for task in ("mcq", "open_ended"):
        assert means[task, "localized"] >= 0.85
        assert means[task, "nonlocalized"] <= 0.35


@pytest.mark.slow
def test_autoencoders_fit_the_model(shipped: LanguageModel) -> None:
    states = residuals(shipped, Corpus(load_atlas()), documents=128, seed=123)
    for layer in LAYERS:
        sae = load_sae(WORLD / "sae" / f"layer_{layer}")
        check_fits(sae, shipped.d_model, layer)
        h = states[layer]
        codes = sae.encode(h)
        error = (h - sae.decode(codes)).square().sum() / (h - h.mean(dim=0)).square().sum()
        assert 1 - float(error) >= 0.8
        assert 8 <= float((codes > 0).sum(dim=1).float().mean()) <= 32
        assert torch.equal(sae.W_dec.norm(dim=1).round(decimals=3), torch.ones(sae.d_sae))


def test_the_corpus_follows_its_seed() -> None:
    languages = load_atlas()
    first, second = Corpus(languages), Corpus(languages)
    assert first.known == second.known
    assert first.default == second.default
