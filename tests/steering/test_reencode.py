"""Codes of another autoencoder, against a store built with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.reencode import encoded_by
from yapo.steering.store import build_store

from .test_tree import PAIRS


def test_equal_to_the_store_built_with_it(gemma: LanguageModel, sae: SAE, any_sae: SAE) -> None:
    given = encoded_by(any_sae, build_store(gemma, 1, sae, PAIRS, 4))
    built = build_store(gemma, 1, any_sae, PAIRS, 4)
    assert given.key == built.key
    for one, other in zip(given.codes, built.codes, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.counts, other.counts)
    assert torch.equal(given.reference, built.reference)


def test_another_layer_is_refused(gemma: LanguageModel, sae: SAE) -> None:
    with pytest.raises(YapoError, match="made for layer 3, but layer 1 is steered"):
        encoded_by(replace(sae, layer=3), build_store(gemma, 1, sae, PAIRS, 4))
