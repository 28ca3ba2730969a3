"""Answers by the library's own loading and generation under ``yapo.steer``, one prompt at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

import yapo
from tests.api.conftest import MODEL, SAE_FOLDER
from yapo.config import ModelConfig
from yapo.models.language_model import load_language_model


@cache
def loaded() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return AutoModelForCausalLM.from_pretrained(MODEL), AutoTokenizer.from_pretrained(MODEL)


def prompt_ids(question: str) -> list[int]:
    chat = [{"role": "user", "content": question}]
    return list(loaded()[1].apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"])


def generated(prompt: Sequence[int], vectors: Sequence[Path], multipliers: Sequence[float], most: int = 24) -> list[int]:
    """Return the tokens of the likeliest answer, with the one that ends it."""
    model = loaded()[0]
    ids = torch.tensor([list(prompt)])
    with yapo.steer(model, [yapo.load_vector(file) for file in vectors], list(multipliers), sae=SAE_FOLDER):
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False)
    return [int(token) for token in out[0, len(prompt) :]]


def answer(question: str, vectors: Sequence[Path], multipliers: Sequence[float], most: int = 24) -> str:
    """Return the text of the likeliest answer."""
    return str(loaded()[1].decode(generated(prompt_ids(question), vectors, multipliers, most), skip_special_tokens=True))


@cache
def opened() -> PreTrainedModel:
    """Return the model as the commands load it, with the project's own attention."""
    return load_language_model(ModelConfig(path=str(MODEL))).model


def log_probs(ids: Sequence[int], vectors: Sequence[Path], multipliers: Sequence[float], last: int = 0) -> torch.Tensor:
    """Return log-probabilities of the next token at the last places, or at all, ``[places, vocabulary]``."""
    steering = yapo.steer(opened(), [yapo.load_vector(file) for file in vectors], list(multipliers), sae=SAE_FOLDER)
    with torch.inference_mode(), steering:
        logits = opened()(torch.tensor([list(ids)]), logits_to_keep=last).logits[0]
    return logits.float().log_softmax(dim=-1)
