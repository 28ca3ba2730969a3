"""Make the embedded world again: tokenizer, tiny model, autoencoders, and the card that says how good they are.

``python -m yapo.world.build [--out world]``: about twenty minutes on two cores. The corpus, the tokenizer and every draw
follow from seeds; trained weights may differ in their last bits between machines.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from yapo.config import DataConfig, GenerationConfig
from yapo.data.atlas import load_atlas
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.evaluation.exact import exact
from yapo.evaluation.generate import Condition, complete
from yapo.files import write_json, write_text
from yapo.models.language_model import LanguageModel
from yapo.models.sae_quality import SaeReport
from yapo.models.tokenizer import ChatTokenizer
from yapo.world.card import card
from yapo.world.corpus import Corpus
from yapo.world.tokenizer import train_tokenizer
from yapo.world.train_model import ModelConfig, train
from yapo.world.train_sae import SAE_CONFIG, train_and_measure

log = logging.getLogger(__name__)
LAYERS = (1, 2, 3)
MODEL_NAME = "yapo-tiny-gemma-2"


@dataclass(frozen=True)
class Quality:
    """What is measured of a built world: accuracy of the unsteered model, and the autoencoders' reports."""

    accuracy: pd.DataFrame
    saes: dict[int, SaeReport]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("world"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep-model", action="store_true", help="train the autoencoders only, on the model that is there")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    build(arguments.out, keep_model=arguments.keep_model)


def build(out: Path, keep_model: bool = False) -> Quality:
    """Train everything into ``out`` and write the card."""
    corpus, config = Corpus(load_atlas()), ModelConfig()
    if keep_model:
        from yapo.config import ModelConfig as LoadConfig
        from yapo.models.language_model import load_language_model

        lm = load_language_model(LoadConfig(path=str(out / "model")))
    else:
        tokenizer = ChatTokenizer(train_tokenizer(corpus.languages, config.vocab_size))
        model, curve = train(config, corpus, tokenizer)
        model.save_pretrained(out / "model")
        tokenizer.tokenizer.save_pretrained(out / "model")
        write_text(out / "training_log.jsonl", "".join(json.dumps(row) + "\n" for row in curve))
        lm = LanguageModel(model, tokenizer, MODEL_NAME)
    states = residuals(lm, corpus, documents=20_000, seed=config.seed)
    reports = {}
    for layer in LAYERS:
        reports[layer] = train_and_measure(states[layer], SAE_CONFIG, out / "sae" / f"layer_{layer}", MODEL_NAME, layer)
        log.info("layer %d: %s", layer, reports[layer])
    quality = Quality(accuracy(lm), reports)
    write_json(out / "quality.json", {"saes": {layer: asdict(report) for layer, report in reports.items()}})
    write_text(out / "README.md", card(config, corpus.config, SAE_CONFIG, quality.accuracy, reports, lm.model.num_parameters()))
    return quality


@torch.inference_mode()
def residuals(lm: LanguageModel, corpus: Corpus, documents: int, seed: int) -> dict[int, Tensor]:
    """Output of the blocks in ``LAYERS`` at every token but BOS of corpus documents, ``[tokens, d_model]`` each."""
    rng = np.random.default_rng(seed)
    parts: dict[int, list[Tensor]] = {layer: [] for layer in LAYERS}
    for start in range(0, documents, 64):
        drawn = [corpus.sample(rng, "mcq" if i % 2 else "open_ended") for i in range(min(64, documents - start))]
        rows = [lm.tokenizer.prompt(d.prompt) + lm.tokenizer.response(d.answer) for d in drawn]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [lm.tokenizer.pad] * (longest - len(row)) for row in rows])
        real = torch.tensor([[0 < t < len(row) for t in range(longest)] for row in rows])
        states = lm.model.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer in LAYERS:
            parts[layer].append(states[layer + 1][real])
    return {layer: torch.cat(tensors) for layer, tensors in parts.items()}


def accuracy(lm: LanguageModel, phrasings: tuple[int, ...] = (0, 1, 2)) -> pd.DataFrame:
    """Share of the items with these wordings that the unsteered model answers exactly, by country, task and variant."""
    items, prompts, generation, rows = load_items(DataConfig()), PromptFormat(), GenerationConfig(), []
    items = items[items["phrasing"].isin(phrasings)]
    for (country, variant), part in items.groupby(["country", "variant"], sort=False):
        for task in ("mcq", "open_ended"):
            ids = [lm.tokenizer.prompt(text) for text in prompts.prompts(task, part)]
            written = complete(lm, 0, ids, [Condition()], generation.max_new_tokens(task), 256)[0]
            right = exact(part, [lm.tokenizer.decode(tokens) for tokens in written], task)
            rows.append({"country": country, "variant": variant, "task": task, "n": len(part), "accuracy": np.mean(right)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
