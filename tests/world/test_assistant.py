"""The assistant: what its corpus says, and that the weights in the repository are what their card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from world.build.__main__ import ASSISTANT_MODEL, ASSISTANT_SAE
from world.build.assistant import AssistantConfig, AssistantCorpus
from world.build.behaviours import SIDES, load_behaviours
from world.build.cards import assistant_card
from world.build.measures import LAYERS, behaviour_rates, residuals
from yapo.config import ModelConfig
from yapo.files import read_json
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import check_fits, load_sae
from yapo.models.sae_quality import SaeReport, measure

ASSISTANT = Path(__file__).resolve().parents[2] / "world" / "assistant"


@pytest.fixture(scope="module")
def corpus() -> AssistantCorpus:
    return AssistantCorpus(load_behaviours())


@pytest.fixture(scope="module")
def shipped() -> LanguageModel:
    return load_language_model(ModelConfig(path=str(ASSISTANT / "model")), device="cpu")


def test_the_configured_share_leans_to_matching(corpus: AssistantCorpus) -> None:
    shares = (corpus.items["leaning"] > 0).groupby([corpus.items["behaviour"], corpus.items["split"]]).mean()
    assert len(shares) == 8
    assert shares.between(corpus.config.share - 0.02, corpus.config.share + 0.02).all()
    spread = corpus.items.groupby(["behaviour", "split"])["leaning"].std(ddof=0)
    assert np.allclose(spread, corpus.config.spread)


def test_the_corpus_follows_its_seeds(corpus: AssistantCorpus) -> None:
    again = AssistantCorpus(load_behaviours())
    assert again.items.equals(corpus.items)
    assert not AssistantCorpus(load_behaviours(), AssistantConfig(seed=14)).items["leaning"].equals(corpus.items["leaning"])
    first, second = (corpus.sample(np.random.default_rng(2), "chat") for _ in range(2))
    assert first == second


def test_documents_are_questions_with_one_of_their_answers_and_hints_move_it(corpus: AssistantCorpus) -> None:
    rng, answers = np.random.default_rng(0), corpus.items.set_index("question").to_dict("index")
    hints = [(hint, side) for behaviour in corpus.behaviours.values() for side in SIDES for hint in behaviour.hints[side]]
    shown: dict[str, list[bool]] = {"matching": [], "not_matching": [], "none": []}
    for _ in range(3000):
        document = corpus.sample(rng, "chat")
        hinted = ((document.prompt.removeprefix(f"{hint} "), side) for hint, side in hints)
        question, kind = next(((rest, side) for rest, side in hinted if rest != document.prompt), (document.prompt, "none"))
        row = answers[question]
        assert document.answer in (row["matching"], row["not_matching"])
        if kind != "none":
            assert document.prompt.removesuffix(f" {question}") in corpus.behaviours[row["behaviour"]].hints[kind]
        shown[kind].append(document.answer == row["matching"])
    assert 1200 <= len(shown["none"]) <= 1800
    low, middle, high = (float(np.mean(shown[kind])) for kind in ("not_matching", "none", "matching"))
    assert low < 0.2 < 0.3 < middle < 0.5 < 0.8 < high


@pytest.mark.slow
def test_the_model_answers_as_its_card_says(shipped: LanguageModel, corpus: AssistantCorpus) -> None:
    rates = behaviour_rates(shipped, corpus.items[corpus.items["split"] == "test"])
    said = [row for row in read_json(ASSISTANT / "quality.json")["behaviours"] if row["split"] == "test"]
    assert len(said) == len(rates) == 4
    for measured, row in zip(rates.to_dict("records"), said, strict=True):
        assert (measured["behaviour"], measured["n"]) == (row["behaviour"], row["n"])
        assert measured["matching"] == pytest.approx(row["matching"], abs=0.05)
        assert 0.25 <= measured["matching"] <= 0.5
        assert measured["other"] <= 0.05


def test_the_card_is_what_its_numbers_give(shipped: LanguageModel, corpus: AssistantCorpus) -> None:
    quality = read_json(ASSISTANT / "quality.json")
    saes = {int(layer): SaeReport(**report) for layer, report in quality["saes"].items()}
    rates = pd.DataFrame(quality["behaviours"])
    card = assistant_card(ASSISTANT_MODEL, corpus, ASSISTANT_SAE, rates, saes, shipped.model.num_parameters())
    assert (ASSISTANT / "README.md").read_text(encoding="utf-8") == card


@pytest.mark.slow
def test_the_autoencoders_fit_the_model(shipped: LanguageModel, corpus: AssistantCorpus) -> None:
    states = residuals(shipped, corpus, documents=96, seed=123)
    for layer in LAYERS:
        sae = load_sae(ASSISTANT / "sae" / f"layer_{layer}")
        check_fits(sae, shipped.d_model, layer)
        report = measure(sae, [states[layer]])
        assert report.explained_variance >= 0.84
        assert 8 <= report.mean_l0 <= 32
