"""The walk through the blocks against the library's own forward pass."""

from __future__ import annotations

import copy
from inspect import signature

import pytest
import torch
from torch import Tensor

from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.language_model import Cache, KeyValues, LanguageModel, cache_name, causal, load_language_model, pad_left
from yapo.models.tokenizer import ChatTokenizer

from ..conftest import tiny_model

ROWS = [[2, 9, 11, 30, 7, 12, 40, 41, 8, 10, 33], [2, 5, 6], [2, 20, 21, 22, 23, 24, 25, 26]]


def test_logits_equal_the_library(lm: LanguageModel) -> None:
    ids, real = pad_left(ROWS, 0)
    positions, allowed = causal(real)
    masks = lm.masks(allowed, positions, positions)
    hidden = lm.blocks(lm.embed(ids), 0, 2, positions, masks)
    ours = lm.logits(lm.blocks(hidden, 2, lm.n_layers, positions, masks))
    theirs = lm.model(input_ids=ids, attention_mask=real.long(), position_ids=positions).logits
    torch.testing.assert_close(ours[real], theirs[real], rtol=1e-5, atol=1e-5)


def test_residual_stream_equals_hidden_states(lm: LanguageModel) -> None:
    ids, real = pad_left(ROWS, 0)
    positions, allowed = causal(real)
    masks = lm.masks(allowed, positions, positions)
    states = lm.model(input_ids=ids, attention_mask=real.long(), position_ids=positions, output_hidden_states=True).hidden_states
    for layer in range(lm.n_layers - 1):  # the library norms the last entry
        ours = lm.blocks(lm.embed(ids), 0, layer + 1, positions, masks)
        torch.testing.assert_close(ours[real], states[layer + 1][real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("start", [0, 2, 3, 4])
def test_the_last_block_runs_only_where_it_is_read(lm: LanguageModel, start: int) -> None:
    ids, real = pad_left(ROWS, 0)
    positions, allowed = causal(real)
    masks = lm.masks(allowed, positions, positions)
    hidden = lm.blocks(lm.embed(ids), 0, start, positions, masks)
    read = torch.tensor([[10, 3, 3], [9, 10, 10], [5, 4, 10]])
    full_cache, cache = KeyValues(), KeyValues()
    whole = lm.blocks(hidden, start, lm.n_layers, positions, masks, full_cache)
    part = lm.blocks(hidden, start, lm.n_layers, positions, masks, cache, read=read)
    torch.testing.assert_close(part, whole[torch.arange(3)[:, None], read], rtol=1e-5, atol=1e-5)
    for layer in range(start, lm.n_layers):
        torch.testing.assert_close(cache.keys[layer], full_cache.keys[layer], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(cache.values[layer], full_cache.values[layer], rtol=1e-5, atol=1e-5)


def test_target_log_probs_equal_log_softmax_of_the_logits(lm: LanguageModel) -> None:
    hidden, targets = torch.randn(3, lm.d_model, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 1, 4, 1, 5])
    rows = torch.tensor([2, 0, 1, 1, 0])
    expected = torch.log_softmax(lm.logits(hidden), dim=-1)[rows, targets]
    torch.testing.assert_close(lm.target_log_probs(hidden, rows, targets), expected, rtol=1e-5, atol=1e-5)


def test_blocks_that_were_not_kept_are_refused(gemma: LanguageModel) -> None:
    upper = LanguageModel(copy.deepcopy(gemma.model), gemma.tokenizer, "upper")
    upper.keep_upper(2)
    hidden, positions = torch.randn(1, 3, gemma.d_model), torch.arange(3)[None]
    masks = upper.masks(torch.ones(1, 3, 3, dtype=torch.bool).tril(), positions, positions)
    same = gemma.blocks(hidden, 2, 4, positions, masks)
    assert torch.equal(upper.blocks(hidden, 2, 4, positions, masks), same)
    with pytest.raises(YapoError, match=r"block 1 of upper was not kept; only blocks 2\.\.3 are loaded"):
        upper.blocks(hidden, 1, 4, positions, masks)


@pytest.mark.parametrize(
    ("kind", "expected"), [("gemma2", "softcapped"), ("llama", "sdpa"), ("qwen2", "sdpa"), ("qwen3", "sdpa")]
)
def test_attention_is_the_fastest_exact_one(tmp_path, tokenizer: ChatTokenizer, kind: str, expected: str) -> None:
    model = tiny_model(kind, len(tokenizer.tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.tokenizer.save_pretrained(tmp_path)
    chosen = load_language_model(ModelConfig(path=str(tmp_path)))  # on a GPU if there is one
    eager = LanguageModel(model.to(chosen.device), tokenizer, kind)
    assert chosen.model.config._attn_implementation == expected
    ids, real = pad_left(ROWS, 0, chosen.device)
    positions, allowed = causal(real)
    logits = []
    for lm in (eager, chosen):
        masks = lm.masks(allowed, positions, positions)
        logits.append(lm.logits(lm.blocks(lm.embed(ids), 0, lm.n_layers, positions, masks))[real])
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("layer", [-1, 3, 4, 99])
def test_layer_out_of_range(lm: LanguageModel, layer: int) -> None:
    with pytest.raises(YapoError, match=r"layer=.* has blocks 0\.\.3"):
        lm.check_layer(layer)


def test_saved_model_loads_equal(tmp_path, gemma: LanguageModel) -> None:
    gemma.model.save_pretrained(tmp_path)
    gemma.tokenizer.tokenizer.save_pretrained(tmp_path)
    loaded = load_language_model(ModelConfig(path=str(tmp_path)))
    kept = dict(gemma.model.named_parameters())
    for name, weight in loaded.model.named_parameters():
        assert torch.equal(weight.cpu(), kept.pop(name))
    assert all("norm" in name for name in kept)  # these are fused
    ids = torch.tensor(ROWS[:1])
    found = loaded.model(input_ids=ids.to(loaded.device)).logits.cpu()  # where there is a GPU, its sums are in another order
    torch.testing.assert_close(found, gemma.model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    assert loaded.tokenizer.prompt("foul") == gemma.tokenizer.prompt("foul")


class NewBlock(torch.nn.Module):
    def forward(self, hidden: Tensor, cache: Cache | None = None) -> Tensor:  # noqa: ARG002
        return hidden


class OldBlock(torch.nn.Module):
    def forward(self, hidden: Tensor, past_key_values: Cache | None = None) -> Tensor:  # noqa: ARG002
        return hidden


def test_the_cache_has_the_name_that_the_installed_transformers_gives_it(lm: LanguageModel) -> None:
    assert (cache_name(NewBlock()), cache_name(OldBlock())) == ("cache", "past_key_values")
    assert cache_name(lm.model.model.layers[0]) in signature(lm.model.model.layers[0].forward).parameters


def test_caches_take_what_newer_releases_tell_them() -> None:
    key, value = torch.randn(2, 1, 2, 3, 4)
    kept = KeyValues()
    kept.update(key, value, 0, kwargs={"told": 1})
    again = kept.update(key, value, 0, {"told": 1})
    assert torch.equal(again[0], torch.cat([key, key], dim=2)) and torch.equal(again[1], torch.cat([value, value], dim=2))
