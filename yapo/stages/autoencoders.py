"""Autoencoders of the study's own: the states they are trained on, and the folder of each."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from yapo.config import Config, SaeTrainConfig
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.files import digest, file_digest, write_json, write_text
from yapo.models.language_model import load_language_model
from yapo.models.sae_quality import measure
from yapo.models.sae_training import choose_texts, residual_states, train_sae
from yapo.models.tokenizer import ChatTokenizer
from yapo.paths import Paths
from yapo.stages.inputs import prompt_format

log = logging.getLogger(__name__)
VALIDATION_PART = 10  # validation states: at most this part of sae.train.max_tokens


@dataclass(frozen=True)
class States:
    """The model's states at one layer, and which model that was."""

    train: Tensor
    validation: Tensor
    model: dict[str, str]
    device: torch.device


def write_sae(config: Config, settings: SaeTrainConfig, states: States, layer: int, folder: Path) -> float:
    """Train one autoencoder and write its folder; returns its explained variance on the validation split."""
    paths = Paths.of(config)
    sae, curve = train_sae(states.train, settings, folder, states.model["path"], layer, states.device)
    report = measure(sae.to(states.device), states.validation.split(8192))  # type: ignore[no-untyped-call]
    write_text(folder / "curves.jsonl", "".join(json.dumps({"kind": "step", **row}) + "\n" for row in curve))
    trained_on = {
        "tokens": len(states.train),
        "passes": settings.steps * settings.batch_size / len(states.train),
        "model": states.model,
        "data_hash": digest([file_digest(paths.items, paths.split), config.tasks]),
        "settings": asdict(settings),
    }
    write_json(folder / "quality.json", {"layer": layer, **asdict(report), "trained_on": trained_on})
    log.info("layer %d: %s", layer, report)
    return report.explained_variance


def gather_states(config: Config, settings: SaeTrainConfig, layer: int, scratch: Path) -> States:
    """Run the model over texts of both splits. It is gone when this returns, so that training has the device to itself.

    Args:
        settings: how many tokens, and the seed that draws texts.
        scratch: a folder on a disk with room for the states.
    """
    paths, limit = Paths.of(config), settings.max_tokens
    items = read_table(paths.items).merge(read_table(paths.split), on="question_id")
    lm = load_language_model(config.model)
    lm.check_layer(layer)
    states = {}
    for split, most in (("train", limit), ("validation", max(1, limit // VALIDATION_PART))):
        texts = choose_texts(texts_of(config, lm.tokenizer, items[items["split"] == split], split), most, settings.seed)
        states[split] = residual_states(lm, layer, texts, config.model.batch_size, scratch)
        log.info("layer %d, %s: %d texts, %d tokens", layer, split, len(texts), len(states[split]))
    return States(states["train"], states["validation"], {"path": lm.source, "digest": lm.digest}, lm.device)


def texts_of(config: Config, tokenizer: ChatTokenizer, items: pd.DataFrame, split: str) -> list[list[int]]:
    """Token ids of every item's prompt with its right answer, for every task; prompts that are too long are left out.

    Raises:
        YapoError: none is short enough.
    """
    prompts, texts = prompt_format(config), []
    for task in config.tasks:
        answers = [prompts.answer(task, options, i) for options, i in zip(items["options"], items["answer_index"], strict=True)]
        for prompt, answer in zip(prompts.prompts(task, items), answers, strict=True):
            ids = tokenizer.prompt(prompt)
            if len(ids) <= config.model.max_prompt_tokens:
                texts.append(ids + tokenizer.response(answer))
    if not texts:
        most = config.model.max_prompt_tokens
        raise YapoError(f"model.max_prompt_tokens={most}: no {split} prompt is that short; raise it or give more data")
    return texts
