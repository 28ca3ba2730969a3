"""The walk through the blocks against the library's own forward pass."""

from __future__ import annotations

import pytest
import torch

from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel, causal, load_language_model, pad_left

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


@pytest.mark.parametrize("layer", [-1, 3, 4, 99])
def test_layer_out_of_range(lm: LanguageModel, layer: int) -> None:
    with pytest.raises(YapoError, match=r"layer=.* has blocks 0\.\.3"):
        lm.check_layer(layer)


def test_unknown_folder_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(YapoError, match="no such folder"):
        load_language_model(ModelConfig(path=str(tmp_path / "nothing")))


def test_truncated_weights_are_one_clear_error(tmp_path, gemma: LanguageModel) -> None:
    gemma.model.save_pretrained(tmp_path)
    gemma.tokenizer.tokenizer.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(YapoError, match=f"model.path={tmp_path}: cannot be loaded"):
        load_language_model(ModelConfig(path=str(tmp_path)))


def test_saved_model_loads_equal(tmp_path, gemma: LanguageModel) -> None:
    gemma.model.save_pretrained(tmp_path)
    gemma.tokenizer.tokenizer.save_pretrained(tmp_path)
    loaded = load_language_model(ModelConfig(path=str(tmp_path)))
    for ours, theirs in zip(loaded.model.parameters(), gemma.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert loaded.tokenizer.prompt("foul") == gemma.tokenizer.prompt("foul")
