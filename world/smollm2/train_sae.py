"""Autoencoders of SmolLM2, trained on states of the model: the texts they see, and the card of each.

Three kinds of text, so that features are neither those of one task nor those of free text alone: questions on everyday life in
sixty countries, in the model's own chat format; the model's own answers to some of them, sampled; and English prose that comes
with Python (``pydoc_data.topics``).
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from world.build.train_sae import held_out
from yapo.config import ModelConfig, SaeTrainConfig
from yapo.data.atlas import load_atlas
from yapo.evaluation.decoding import Condition, Decoder
from yapo.evaluation.decoding.sampling import Sampling
from yapo.files import digest, replacing, write_json
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import WEIGHTS_FILE, load_sae
from yapo.models.sae_quality import measure
from yapo.models.sae_training import residual_states, train_sae

log = logging.getLogger(__name__)
NAME = "SmolLM2-135M-Instruct"
SEED = 0
QUESTIONS, ANSWERED, PROSE = 4_000, 1_200, 400  # texts of each kind
ANSWER_TOKENS, PROSE_TOKENS = 48, 256
SAE_CONFIG = SaeTrainConfig(
    seed=SEED, width=4096, k=32, steps=2400, batch_size=1024, lr=2e-3, warmup_steps=100, decay_steps=1600, dead_after=100
)
COUNTRIES = (
    "Argentina", "Australia", "Austria", "Bangladesh", "Belgium", "Bolivia", "Brazil", "Canada", "Chile", "China", "Colombia",
    "Cuba", "Denmark", "Ecuador", "Egypt", "Ethiopia", "Finland", "France", "Germany", "Ghana", "Greece", "Hungary", "Iceland",
    "India", "Indonesia", "Iran", "Iraq", "Ireland", "Italy", "Jamaica", "Japan", "Jordan", "Kenya", "Lebanon", "Malaysia",
    "Mexico", "Morocco", "Mozambique", "Nepal", "New Zealand", "Nigeria", "Norway", "Pakistan", "Peru", "Poland", "Portugal",
    "Russia", "Saudi Arabia", "Scotland", "Senegal", "South Africa", "South Korea", "Spain", "Sweden", "Thailand", "Turkey",
    "the UK", "the USA", "Ukraine", "Vietnam",
)  # fmt: skip
OPENINGS = ("I am from {}.", "I live in {}.", "A question about {}:", "")


def train_saes(folder: Path, layers: list[int], out: Path) -> None:
    """Train the autoencoder of each layer and write ``layer_<L>/`` with weights of half precision and ``quality.json``.

    Args:
        folder: the model.
        layers: 0-based blocks whose outputs are encoded.
        out: where the folders go.
    """
    lm = load_language_model(ModelConfig(path=str(folder), dtype="float32"))
    texts, counts = texts_of(lm, folder)
    log.info("texts: %s", counts)
    for layer in layers:
        place = out / f"layer_{layer}"
        states = residual_states(lm, layer, texts, 16, place)
        apart = held_out(len(states))
        train_sae(states[~apart], SAE_CONFIG, place, NAME, layer)
        halve(place / WEIGHTS_FILE)
        report = measure(load_sae(place), states[apart].split(8192))  # type: ignore[no-untyped-call]
        trained_on = {"model": {"path": NAME, "digest": lm.digest}, "texts": counts, "tokens": len(states)}
        trained_on |= {"settings": asdict(SAE_CONFIG)}
        write_json(place / "quality.json", {"layer": layer, **asdict(report), "trained_on": trained_on})
        log.info("layer %d: %s", layer, report)


def halve(path: Path) -> None:
    """Rewrite the weights in half precision, which halves the file."""
    weights = {name: tensor.half() for name, tensor in load_file(path).items()}
    with replacing(path) as temporary:
        save_file(weights, temporary)


def texts_of(lm: LanguageModel, folder: Path) -> tuple[list[list[int]], dict[str, object]]:
    """Return the token ids of all texts, and how many tokens there are of each kind."""
    rng = np.random.default_rng(SEED)
    questions = [lm.tokenizer.prompt(text) for text in draw_questions(rng, QUESTIONS)]
    asked = questions[:ANSWERED]
    answers = Decoder(lm, 64).complete(0, asked, [Condition()], ANSWER_TOKENS, Sampling(0.8, SEED))[0]
    answered = [prompt + answer for prompt, answer in zip(asked, answers, strict=True)]
    prose = draw_prose(AutoTokenizer.from_pretrained(folder), rng, PROSE, questions[0][0])
    kinds = {"questions": questions[ANSWERED:], "questions with the model's answers": answered, "prose": prose}
    counts: dict[str, object] = {name: sum(len(text) - 1 for text in part) for name, part in kinds.items()}
    texts = [text for part in kinds.values() for text in part]
    return texts, {**counts, "digest": digest(texts)}


def draw_questions(rng: np.random.Generator, number: int) -> list[str]:
    """Return questions of the English atlas, each asked of a country or of none."""
    facts = load_atlas()["english"].facts
    drawn = []
    for _ in range(number):
        fact = facts[rng.integers(len(facts))]
        question, country = fact.questions[rng.integers(len(fact.questions))], COUNTRIES[rng.integers(len(COUNTRIES))]
        drawn.append(f"{OPENINGS[rng.integers(len(OPENINGS))].format(country)} {question}".strip())
    return drawn


def draw_prose(tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator, number: int, first: int) -> list[list[int]]:
    """Return passages of prose, each behind the token ``first``, which every text begins with."""
    passages = []
    for name in sorted(topics):
        ids = tokenizer(topics[name], add_special_tokens=False, verbose=False)["input_ids"]
        passages += [[first, *ids[start : start + PROSE_TOKENS]] for start in range(0, len(ids), PROSE_TOKENS)]
    return [passages[i] for i in rng.permutation(len(passages))[:number]]
