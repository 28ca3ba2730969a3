"""Refuse in one sentence what ``yapo.steer`` cannot steer, before it touches the model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel

import yapo
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.vector import SteeringVector, VectorInfo

from ..refusals import refused
from .test_conversation import vector as map_vector

INFO = VectorInfo("caa", "dense", 1, "tiny", "")
DENSE = SteeringVector(torch.ones(32), INFO)
ON_VALIDATION = "leave it out for the one chosen on validation"


@pytest.mark.parametrize(
    ("multiplier", "parts"),
    [
        (math.nan, ("multiplier=nan: not a finite number", ON_VALIDATION)),
        (math.inf, ("multiplier=inf", ON_VALIDATION)),
        (-math.inf, ("multiplier=-inf", ON_VALIDATION)),
        ("2", ("multiplier='2'", ON_VALIDATION)),
        ("", ("multiplier=''", ON_VALIDATION)),
        ("None", ("multiplier='None'", ON_VALIDATION)),
        (True, ("multiplier=True", ON_VALIDATION)),
        (np.float32("nan"), ("multiplier=np.float32(nan)", ON_VALIDATION)),
        (pd.NA, ("multiplier=<NA>", ON_VALIDATION)),
        (pd.NaT, ("multiplier=NaT", ON_VALIDATION)),
        ([2.0], ("multiplier=[2.0]", ON_VALIDATION)),
        ({}, ("multiplier={}", ON_VALIDATION)),
        (2j, ("multiplier=2j", ON_VALIDATION)),
        (Decimal("2"), ("multiplier=Decimal('2')", ON_VALIDATION)),
        (torch.tensor(math.nan), ("multiplier=nan", ON_VALIDATION)),
        (torch.tensor([1.0, 2.0]), ("multiplier=tensor([1., 2.])", ON_VALIDATION)),
        (torch.ones(1, device="meta"), ("multiplier=tensor(", "device='meta'", ON_VALIDATION)),
        (10**400, ("multiplier=1000", ON_VALIDATION)),
        (10**5000, ("multiplier=<int of too many digits>", ON_VALIDATION)),
        (Fraction(10**400), ("multiplier=Fraction(", ON_VALIDATION)),
        (1e39, ("multiplier=1e+39", "beyond float32", "give a smaller one")),
    ],
    ids=range(21),
)
def test_multipliers(gemma: LanguageModel, multiplier: Any, parts: tuple[str, ...]) -> None:
    refuses(gemma, DENSE, *parts, multiplier=multiplier)


@pytest.mark.parametrize("multiplier", [2, np.float32(2), np.int64(2), torch.tensor(2.0)], ids=repr)
def test_numbers_of_any_kind_are_multipliers(gemma: LanguageModel, multiplier: Any) -> None:
    ids = torch.tensor([[2, 9, 11]])
    with yapo.steer(gemma.model, DENSE, 2.0):
        expected = gemma.model(input_ids=ids).logits
    with yapo.steer(gemma.model, DENSE, multiplier):
        assert torch.equal(gemma.model(input_ids=ids).logits, expected)


def refuses(lm: LanguageModel, vector: Any, *parts: str, model: Any = None, **arguments: Any) -> None:
    ids = torch.tensor([[2, 5]])
    before = lm.model(input_ids=ids).logits

    def enter() -> None:
        with yapo.steer(lm.model if model is None else model, vector, **arguments):
            pass

    refused(enter, *parts)
    assert torch.equal(lm.model(input_ids=ids).logits, before)


def with_values(values: torch.Tensor, **header: Any) -> SteeringVector:
    return SteeringVector(values, replace(INFO, **header))


LOAD = "give what yapo.load_vector(path) returns"
FIT = "load the model it was made for"
VECTORS: dict[str, tuple[Callable[[SAE], Any], tuple[str, ...]]] = {
    "a path": (lambda _: Path("v.safetensors"), ("v.safetensors", "not a steering vector", LOAD)),
    "a path as text": (lambda _: "v.safetensors", ("vector='v.safetensors'", LOAD)),
    "nothing": (lambda _: None, ("vector=None", LOAD)),
    "its numbers alone": (lambda _: torch.ones(32), ("vector=Tensor", LOAD)),
    "no header": (lambda _: SteeringVector(torch.ones(32), None), ("vector=SteeringVector", LOAD)),
    "a header alone": (lambda _: INFO, ("vector=VectorInfo", LOAD)),
    "NaN": (lambda _: with_values(torch.full((32,), math.nan)), ("the vector for tiny holds NaN or infinity",)),
    "infinity": (lambda _: with_values(torch.ones(32).index_fill(0, torch.tensor([3]), -math.inf)), ("NaN or infinity",)),
    "two rows": (lambda _: with_values(torch.ones(2, 32)), ("torch.float32 of shape (2, 32)",)),
    "a single number": (lambda _: with_values(torch.tensor(1.0)), ("of shape ()",)),
    "whole numbers": (lambda _: with_values(torch.ones(32, dtype=torch.int64)), ("torch.int64",)),
    "on no device": (lambda _: with_values(torch.ones(32, device="meta")), ("torch.float32 of shape (32,), device meta",)),
    "sparse storage": (lambda _: with_values(torch.ones(32).to_sparse()), ("torch.float32 of shape (32,), torch.sparse_coo",)),
    "bytes for numbers": (lambda _: with_values(torch.ones(32).to(torch.float8_e4m3fn)), ("torch.float8_e4m3fn",)),
    "a list": (lambda _: with_values([1.0] * 32), ("the vector's values are list",)),
    "another width": (lambda _: with_values(torch.ones(48)), ("the vector has 48 entries for tiny; this model is 32 wide", FIT)),
    "an empty one": (lambda _: with_values(torch.ones(0)), ("the vector has 0 entries", FIT)),
    "a layer too deep": (lambda _: with_values(torch.ones(32), layer=4), ("steers layer 4 of tiny, but this model has 4", FIT)),
    "sparse, of another width": (
        lambda sae: with_values(torch.ones(63), space="sparse", sae_digest=sae.digest),
        ("the vector has 63 entries, but what applies it has 64",),
    ),
}


@pytest.mark.parametrize("case", VECTORS)
def test_vectors(gemma: LanguageModel, sae: SAE, case: str) -> None:
    make, parts = VECTORS[case]
    refuses(gemma, make(sae), *parts, sae=sae)


def quantised(lm: LanguageModel) -> nn.Module:
    model = copy.deepcopy(lm.model)
    model.config.quantization_config = BitsAndBytesConfig(load_in_8bit=True)
    return model


def partly_absent(lm: LanguageModel) -> nn.Module:
    model = copy.deepcopy(lm.model)
    model.model.layers[2].to("meta")
    return model


class Adapted(nn.Module):
    """A model as a library of adapters wraps it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = model

    def merge_and_unload(self) -> nn.Module:
        return self.base_model


def gpt2() -> nn.Module:
    return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=16, vocab_size=50))


AUTO = "AutoModelForCausalLM"
MODELS: dict[str, tuple[Callable[[LanguageModel], Any], tuple[str, ...]]] = {
    "a name": (lambda _: "google/gemma-2-2b-it", ("model='google/gemma-2-2b-it'", AUTO)),
    "a folder": (lambda _: Path("world/model"), ("world/model", AUTO)),
    "this library's own": (lambda lm: lm, ("model=LanguageModel", AUTO)),
    "without a head": (lambda lm: lm.model.model, ("Gemma2Model has no head", AUTO)),
    "its blocks": (lambda lm: lm.model.model.layers, ("model=ModuleList", AUTO)),
    "several devices at once": (
        lambda lm: nn.DataParallel(copy.deepcopy(lm.model)),
        ("DataParallel wraps the model", "give model.module"),
    ),
    "averaged": (lambda lm: AveragedModel(lm.model), ("AveragedModel wraps the model", "give model.module")),
    "with an adapter": (lambda lm: Adapted(lm.model), ("model=Adapted", "merge_and_unload", AUTO)),
    "another architecture": (lambda _: gpt2(), ("architecture 'gpt2' is not supported", "gemma2")),
    "quantised": (quantised, ("quantised", "without quantization_config")),
    "not in memory": (partly_absent, ("model.layers.2", "device meta")),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(gemma: LanguageModel, case: str) -> None:
    make, parts = MODELS[case]
    refuses(gemma, DENSE, *parts, model=make(gemma))


AUTOENCODERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a number": (3, ("sae: int for layer 1", "folder or file")),
    "none of that layer": ({0: 3}, ("nowhere/cfg.json: no such file", "give sae=")),
    "a folder that is not there": ("no/such/folder", ("no/such/folder/cfg.json: no such file",)),
    "a file that is not there": (Path("no_such.npz"), ("no_such.npz: no such file",)),
    "nothing": (None, ("nowhere/cfg.json: no such file", "the vector's header names it", "give sae=")),
}


@pytest.mark.parametrize("case", AUTOENCODERS)
def test_autoencoders(gemma: LanguageModel, sae: SAE, case: str) -> None:
    given, parts = AUTOENCODERS[case]
    vector = with_values(torch.ones(64), space="sparse", sae="nowhere", sae_digest=sae.digest)
    refuses(gemma, vector, *parts, sae=given)


def test_autoencoders_of_a_vector_with_a_map(gemma: LanguageModel, sae: SAE) -> None:
    vector = map_vector(sae)
    refuses(gemma, vector, "this vector needs 2", "{0: ..., 2: ...}", sae=sae)
    refuses(gemma, vector, "sae: list for layer 2", sae={0: sae, 2: [sae]})
    refuses(gemma, vector, "answer_starts=9", "a function", sae={0: sae, 2: sae}, answer_starts=9)
