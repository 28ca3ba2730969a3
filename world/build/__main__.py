"""Make the embedded worlds again: tokenizer, tiny model, autoencoders, and the card that says how good they are.

``python -m world.build [--only culture|assistant|regions] [--out world]``: about half an hour on one core for the culture
world, ten minutes for the assistant's, three for the model of the regional atlas, which does not ship and goes where
``conf/model/regions.yaml`` says. ``--only culture --seed 6 --out results/world_6`` gives another model of the same corpus.
Corpora, tokenizers and every draw follow from seeds. With one thread, two runs on a machine give the same bytes; with more
they do not (``--threads 2`` is faster). Other processors may round otherwise.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from world.build.assistant import AssistantCorpus
from world.build.behaviours import BEHAVIOURS_DIR, load_behaviours, write_behaviours
from world.build.cards import assistant_card, culture_card
from world.build.corpus import Corpus, Documents
from world.build.measures import LAYERS, accuracy, behaviour_rates, residuals
from world.build.regions import regional_corpus
from world.build.tokenizer import train_tokenizer
from world.build.train_model import ModelConfig, train
from world.build.train_sae import SAE_CONFIG, train_and_measure
from yapo.config import ModelConfig as LoadConfig
from yapo.config import SaeTrainConfig
from yapo.config.compose import compose
from yapo.data.atlas import load_atlas
from yapo.files import write_json, write_text
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae_quality import SaeReport
from yapo.models.tokenizer import ChatTokenizer

log = logging.getLogger(__name__)
MODEL_NAME = "yapo-tiny-gemma-2"
ASSISTANT_NAME = "yapo-tiny-assistant"
ASSISTANT_MODEL = ModelConfig(vocab_size=1536, steps=1000, per_step={"chat": 64}, weights={}, documents=30_000)
REGIONAL_NAME = "yapo-tiny-regions"
REGIONAL_MODEL = ModelConfig(
    vocab_size=2048, hidden_size=64, layers=4, heads=2, ffn_size=192, steps=1500, per_step={"open_ended": 64}, weights={},
    documents=20_000,
)  # fmt: skip
ASSISTANT_SAE = SaeTrainConfig(
    seed=7, width=512, k=16, steps=1500, batch_size=1024, lr=8e-3, warmup_steps=100, decay_steps=1000, dead_after=20
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("world"))
    parser.add_argument("--only", choices=("culture", "assistant", "regions"), help="one of the worlds")
    parser.add_argument("--seed", type=int, default=ModelConfig().seed, help="of the culture world's model")
    parser.add_argument("--threads", type=int, default=1, help="with more than one, weights differ from run to run")
    parser.add_argument("--keep-model", action="store_true", help="train the autoencoders only, on the model that is there")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    with TemporaryDirectory() as compiled:  # of its own: a build that is killed while it compiles leaves the shared one torn
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = compiled
        build(arguments)


def build(arguments: argparse.Namespace) -> None:
    """Build the worlds that the command line names."""
    if arguments.only in ("culture", None):
        build_culture(arguments.out, arguments.seed, arguments.keep_model)
    if arguments.only in ("assistant", None):
        build_assistant(arguments.out / "assistant", arguments.out / BEHAVIOURS_DIR.name, arguments.keep_model)
    if arguments.only in ("regions", None):
        build_regions(Path(compose(["model=regions"]).model.path).parent)


def build_culture(out: Path, seed: int, keep_model: bool = False) -> None:
    """Train the culture world's model and autoencoders into ``out`` and write its card."""
    corpus, config = Corpus(load_atlas()), ModelConfig(seed=seed)
    lm = _model(out, MODEL_NAME, config, corpus, keep_model)
    reports = _autoencoders(out, MODEL_NAME, lm, corpus, SAE_CONFIG, config.seed, documents=20_000)
    write_json(out / "quality.json", {"saes": {layer: asdict(report) for layer, report in reports.items()}})
    write_text(
        out / "README.md", culture_card(config, corpus.config, SAE_CONFIG, accuracy(lm), reports, lm.model.num_parameters())
    )


def build_assistant(out: Path, questions: Path, keep_model: bool = False) -> None:
    """Write the behaviours' questions, train the assistant's model and autoencoders into ``out``, and write its card."""
    behaviours, config = load_behaviours(), ASSISTANT_MODEL
    write_behaviours(questions, behaviours)
    corpus = AssistantCorpus(behaviours)
    lm = _model(out, ASSISTANT_NAME, config, corpus, keep_model)
    reports = _autoencoders(out, ASSISTANT_NAME, lm, corpus, ASSISTANT_SAE, config.seed, documents=12_000)
    rates = behaviour_rates(lm, corpus.items)
    quality = {"behaviours": rates.to_dict("records"), "saes": {layer: asdict(report) for layer, report in reports.items()}}
    write_json(out / "quality.json", quality)
    parameters = lm.model.num_parameters()
    write_text(out / "README.md", assistant_card(config, corpus, ASSISTANT_SAE, rates, reports, parameters))


def build_regions(out: Path) -> None:
    """Train the model of the regional atlas into ``out``, and say beside it how much it knows of every place."""
    lm = _model(out, REGIONAL_NAME, REGIONAL_MODEL, regional_corpus(), keep=False)
    known = accuracy(lm, source="regions", tasks=["open_ended"])
    write_json(out / "quality.json", {"accuracy": known.to_dict("records")})
    log.info("%s: %s", out, known.groupby("variant")["accuracy"].mean().round(3).to_dict())


def _model(out: Path, name: str, config: ModelConfig, corpus: Documents, keep: bool) -> LanguageModel:
    """Return the model of ``out``, trained first unless it is to be kept."""
    if keep:
        return load_language_model(LoadConfig(path=str(out / "model")))
    tokenizer = ChatTokenizer(train_tokenizer(corpus.strings(), config.vocab_size))
    model, curve = train(config, corpus, tokenizer)
    model.save_pretrained(out / "model")
    tokenizer.tokenizer.save_pretrained(out / "model")
    write_text(out / "training_log.jsonl", "".join(json.dumps(row) + "\n" for row in curve))
    return LanguageModel(model, tokenizer, name)


def _autoencoders(
    out: Path, name: str, lm: LanguageModel, corpus: Documents, config: SaeTrainConfig, seed: int, documents: int
) -> dict[int, SaeReport]:
    """Train one autoencoder per layer, and return the quality of each on held-out tokens."""
    states = residuals(lm, corpus, documents, seed)
    reports = {}
    for layer in LAYERS:
        reports[layer] = train_and_measure(states[layer], config, out / "sae" / f"layer_{layer}", name, layer)
        log.info("layer %d: %s", layer, reports[layer])
    return reports


if __name__ == "__main__":
    main()
