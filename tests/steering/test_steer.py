"""``yapo.steer`` on transformers models: what it changes, what it leaves, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import yapo
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel, pad_left
from yapo.models.sae import SAE
from yapo.steering.interventions import sparse_edit_plain
from yapo.steering.steer import padding_of
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER = 1
PROMPTS = [[2, 9, 11, 30, 7, 12, 40, 41, 8], [2, 5, 6], [2, 20, 21, 22, 23, 24]]
DENSE = VectorInfo("caa", "dense", LAYER, "tiny", "")


def make_vector(space: str, sae: SAE, **header: object) -> SteeringVector:
    g = torch.Generator().manual_seed(1)
    if space == "dense":
        return SteeringVector(torch.randn(32, generator=g), replace(DENSE, **header))
    info = replace(DENSE, method="yapo", space="sparse", sae="random", sae_digest=sae.digest, **header)
    return SteeringVector(torch.randn(64, generator=g), info)


def plain_edit(vector: SteeringVector, sae: SAE, multiplier: float) -> Callable[[Tensor], Tensor]:
    """The displacement by definition, for hidden states without their first token."""
    u = multiplier * vector.values
    return (lambda h: h + u) if vector.info.space == "dense" else (lambda h: sparse_edit_plain(sae, h, u))


def plain_logits(model: PreTrainedModel, ids: list[int], edit: Callable[[Tensor], Tensor], steer_bos: bool = False) -> Tensor:
    """One unpadded prompt through the whole model, with a hook that edits every token, or every token but the first."""

    def hook(_module: object, _args: object, hidden: Tensor) -> Tensor:
        return edit(hidden) if steer_bos else torch.cat([hidden[:, :1], edit(hidden[:, 1:])], dim=1)

    handle = model.model.layers[LAYER].register_forward_hook(hook)
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    handle.remove()
    return logits


def padded(prompts: list[list[int]]) -> dict[str, Tensor]:
    ids, real = pad_left(prompts, 0)
    return {"input_ids": ids, "attention_mask": real.long()}


@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("steer_bos", [False, True])
def test_left_padded_batch_equals_each_prompt_by_definition(lm: LanguageModel, sae: SAE, space: str, steer_bos: bool) -> None:
    vector = make_vector(space, sae, steer_bos=steer_bos)
    with yapo.steer(lm.model, vector, 2.0, sae=sae):
        batch = lm.model(**padded(PROMPTS)).logits
    for prompt, logits in zip(PROMPTS, batch, strict=True):
        expected = plain_logits(lm.model, prompt, plain_edit(vector, sae, 2.0), steer_bos)
        torch.testing.assert_close(logits[-len(prompt) :], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_right_padding_and_no_padding(gemma: LanguageModel, sae: SAE, space: str) -> None:
    vector = make_vector(space, sae)
    expected = plain_logits(gemma.model, PROMPTS[1], plain_edit(vector, sae, 1.0))
    ids = torch.tensor([[*PROMPTS[1], 0, 0]])
    with yapo.steer(gemma.model, vector, sae=sae):
        right = gemma.model(input_ids=ids, attention_mask=(ids != 0).long()).logits[0, :3]
        alone = gemma.model(input_ids=ids[:, :3]).logits[0]
    torch.testing.assert_close(right, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_bos_is_untouched_under_left_padding(gemma: LanguageModel, sae: SAE, space: str) -> None:
    states: list[Tensor] = []
    layer = gemma.model.model.layers[LAYER + 1]
    with yapo.steer(gemma.model, make_vector(space, sae), 2.0, sae=sae):
        handle = layer.register_forward_pre_hook(lambda _module, args: states.append(args[0]))
        gemma.model(**padded(PROMPTS))
    gemma.model(**padded(PROMPTS))
    handle.remove()
    steered, plain = states
    longest = len(PROMPTS[0])
    for row, prompt in enumerate(PROMPTS):
        start = longest - len(prompt)
        assert torch.equal(steered[row, start], plain[row, start])
        assert not torch.isclose(steered[row, start + 1 :], plain[row, start + 1 :]).all(dim=-1).any()


@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_steers_the_prompt_and_every_new_token(lm: LanguageModel, sae: SAE, space: str, use_cache: bool) -> None:
    """Greedy decoding equals running the whole steered sequence anew for every token, one prompt at a time."""
    vector, new = make_vector(space, sae), 6
    with yapo.steer(lm.model, vector, 2.0, sae=sae):
        out = lm.model.generate(
            **padded(PROMPTS), max_new_tokens=new, do_sample=False, use_cache=use_cache, eos_token_id=None, pad_token_id=0
        )
    edit = plain_edit(vector, sae, 2.0)
    for prompt, row in zip(PROMPTS, out, strict=True):
        ids = list(prompt)
        for _ in range(new):
            ids.append(int(plain_logits(lm.model, ids, edit)[-1].argmax()))
        assert row[-new:].tolist() == ids[-new:]


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_a_static_cache_generates_as_a_growing_one(lm: LanguageModel, sae: SAE, space: str) -> None:
    """Left-padded, so that the masks that come with a static cache have to say where a row begins."""
    vector = make_vector(space, sae)
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with yapo.steer(lm.model, vector, 2.0, sae=sae):
        growing = lm.model.generate(**padded(PROMPTS), **settings)
        assert lm.model.generation_config.disable_compile  # a compiled pass would not notice the block's end
        static = lm.model.generate(**padded(PROMPTS), **settings, cache_implementation="static")
        alone = lm.model.generate(input_ids=torch.tensor(PROMPTS[:1]), **settings, cache_implementation="static")
    assert torch.equal(static, growing)
    assert torch.equal(alone[0], growing[0])
    assert not lm.model.generation_config.disable_compile
    assert not torch.equal(lm.model.generate(**padded(PROMPTS), **settings, cache_implementation="static"), growing)


def test_masks_with_a_value_for_each_pair_of_tokens(gemma: LanguageModel, sae: SAE) -> None:
    """Masks as masking functions of transformers make them: one for each kind of layer. Under left padding, without positions."""
    vector, batch, lowest = make_vector("dense", sae), padded(PROMPTS), torch.finfo(torch.float32).min
    real = batch["attention_mask"].bool()
    allowed = ((torch.ones(9, 9, dtype=torch.bool).tril() & real[:, None]) | torch.eye(9, dtype=torch.bool))[:, None]
    near = allowed & (torch.arange(9)[:, None] - torch.arange(9) < 6)
    masks = {kind: torch.zeros(mask.shape).masked_fill(~mask, lowest) for kind, mask in (("full", allowed), ("sliding", near))}
    with yapo.steer(gemma.model, vector, 2.0):
        expected = gemma.model(**batch).logits
        found = gemma.model(
            input_ids=batch["input_ids"], attention_mask={f"{kind}_attention": mask for kind, mask in masks.items()}
        ).logits
    plain = gemma.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(found[real], expected[real], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[real], plain[real])
    for mask in (allowed, masks["full"]):
        assert torch.equal(padding_of(mask, 0, batch["input_ids"]), real)
        assert torch.equal(padding_of(torch.nn.functional.pad(mask[:, :, 5:], (0, 4)), 5, batch["input_ids"][:, 5:]), real)


def test_generation_is_moved_by_the_vector(gemma: LanguageModel, sae: SAE) -> None:
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    plain = gemma.model.generate(**padded(PROMPTS), **settings)
    with yapo.steer(gemma.model, make_vector("dense", sae), 4.0):
        steered = gemma.model.generate(**padded(PROMPTS), **settings)
    assert (plain[:, -6:] != steered[:, -6:]).any(dim=1).all()


def test_the_block_undoes_itself(gemma: LanguageModel, sae: SAE) -> None:
    batch, vector = padded(PROMPTS), make_vector("sparse", sae)
    before = gemma.model(**batch).logits
    with yapo.steer(gemma.model, vector, sae=sae) as model:
        assert model is gemma.model
        assert not torch.equal(gemma.model(**batch).logits, before)
    assert torch.equal(gemma.model(**batch).logits, before)
    with pytest.raises(KeyError, match="inside"), yapo.steer(gemma.model, vector, sae=sae):
        raise KeyError("inside")
    assert torch.equal(gemma.model(**batch).logits, before)


def test_a_block_can_be_entered_again(gemma: LanguageModel, sae: SAE) -> None:
    """One after the other, inside itself, and as a decorator."""
    ids = torch.tensor([[2, 9, 11]])
    plain, block = gemma.model(input_ids=ids).logits, yapo.steer(gemma.model, make_vector("dense", sae))
    with block:
        once = gemma.model(input_ids=ids).logits
    with block, block:
        assert not torch.equal(gemma.model(input_ids=ids).logits, once)
    assert torch.equal(block(gemma.model)(input_ids=ids).logits, once)
    assert torch.equal(gemma.model(input_ids=ids).logits, plain)
    assert not torch.equal(once, plain)


def test_nested_blocks_add_up(gemma: LanguageModel, sae: SAE) -> None:
    first, second = make_vector("dense", sae), make_vector("sparse", sae)
    edits = plain_edit(first, sae, 1.0), plain_edit(second, sae, 2.0)
    before = gemma.model(input_ids=torch.tensor([PROMPTS[0]])).logits
    expected = plain_logits(gemma.model, PROMPTS[0], lambda hidden: edits[1](edits[0](hidden)))
    ids = torch.tensor([PROMPTS[0]])
    with yapo.steer(gemma.model, first):
        with yapo.steer(gemma.model, second, 2.0, sae=sae):
            torch.testing.assert_close(gemma.model(input_ids=ids).logits[0], expected, rtol=1e-4, atol=1e-4)
        only_first = plain_logits(gemma.model, PROMPTS[0], lambda hidden: hidden)
        expected = gemma.model(input_ids=ids).logits[0]
        torch.testing.assert_close(only_first, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(gemma.model(input_ids=ids).logits, before)


def test_opposite_vectors_cancel(gemma: LanguageModel, sae: SAE) -> None:
    vector, ids = make_vector("dense", sae), torch.tensor([PROMPTS[0]])
    with yapo.steer(gemma.model, vector, 1.0), yapo.steer(gemma.model, vector, -1.0):
        cancelled = gemma.model(input_ids=ids).logits
    torch.testing.assert_close(cancelled, gemma.model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_multiplier_zero_is_bit_exact(lm: LanguageModel, sae: SAE, space: str) -> None:
    before = lm.model(**padded(PROMPTS)).logits
    with yapo.steer(lm.model, make_vector(space, sae), 0.0, sae=sae):
        assert torch.equal(lm.model(**padded(PROMPTS)).logits, before)
    with yapo.steer(lm.model, make_vector(space, sae, multiplier=0.0), sae=sae):
        assert torch.equal(lm.model(**padded(PROMPTS)).logits, before)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_the_chosen_multiplier_is_the_default(gemma: LanguageModel, sae: SAE, space: str) -> None:
    batch = padded(PROMPTS)
    with yapo.steer(gemma.model, make_vector(space, sae, multiplier=1.5), sae=sae):
        default = gemma.model(**batch).logits
    with yapo.steer(gemma.model, make_vector(space, sae), 1.5, sae=sae):
        assert torch.equal(gemma.model(**batch).logits, default)
    with yapo.steer(gemma.model, make_vector(space, sae), sae=sae):
        assert not torch.equal(gemma.model(**batch).logits, default)


def test_the_threshold_of_the_header_is_used(gemma: LanguageModel, sae: SAE) -> None:
    batch = padded(PROMPTS)
    with yapo.steer(gemma.model, make_vector("sparse", sae, threshold="jumprelu"), 0.3, sae=sae):
        kept = gemma.model(**batch).logits
    with yapo.steer(gemma.model, make_vector("sparse", sae), 0.3, sae=sae):
        assert not torch.allclose(gemma.model(**batch).logits, kept)


def test_the_autoencoder_is_found_from_another_folder(
    tmp_path: Path, gemma: LanguageModel, sae: SAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header names it from the folder of the study, below which the vector lies."""
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    arrays = {"W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec, "threshold": sae.threshold}
    (study / "sae" / "layer_1").mkdir(parents=True)
    np.savez(study / "sae" / "layer_1" / "params.npz", **{name: t.numpy() for name, t in arrays.items() if t is not None})
    vector = make_vector("sparse", sae)
    vector = replace(vector, info=replace(vector.info, sae="sae/layer_1/params.npz"))
    vector.save(study / "results" / "vectors" / "v.safetensors")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    loaded = yapo.load_vector("../study/results/vectors/v.safetensors")
    with yapo.steer(gemma.model, loaded), yapo.steer(gemma.model, vector, sae=study / "sae" / "layer_1" / "params.npz"):
        pass
    vector.save("alone.safetensors")
    with yapo.steer(gemma.model, yapo.load_vector("alone.safetensors")):  # where it was seen before
        pass
    (study / "sae").rename(study / "moved")
    refused(gemma.model, yapo.load_vector("alone.safetensors"), r"sae/layer_1/params.npz: no such file; .*elsewhere, give sae=")


def refused(model: PreTrainedModel, vector: SteeringVector, message: str, sae: SAE | None = None) -> None:
    before = model(input_ids=torch.tensor([[2, 5]])).logits
    with pytest.raises(YapoError, match=message), yapo.steer(model, vector, sae=sae):
        pass
    assert torch.equal(model(input_ids=torch.tensor([[2, 5]])).logits, before)


def test_another_autoencoder(gemma: LanguageModel, sae: SAE) -> None:
    vector = make_vector("sparse", sae)
    refused(gemma.model, vector, "trained with the autoencoder random", replace(sae, b_enc=sae.b_enc + 1))
    refused(gemma.model, vector, "made for layer 3, but layer 1 is steered", replace(sae, layer=3))
    narrow = replace(sae, W_enc=sae.W_enc[:16], W_dec=sae.W_dec[:, :16], b_dec=sae.b_dec[:16])
    refused(gemma.model, vector, "made for residual width 16, but the model has 32", narrow)
    refused(gemma.model, vector, r"random/cfg.json: no such file")  # the one of the header, read when none is given


def test_a_model_made_in_memory_has_no_folder_to_compare(
    tmp_path: Path, gemma: LanguageModel, sae: SAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that happen to lie in the working folder are not its weights."""
    vector = make_vector("dense", sae, model_digest="0123456789ab")
    vector.save(tmp_path / "vector.safetensors")
    monkeypatch.chdir(tmp_path)
    assert gemma.model.config.name_or_path == ""
    with yapo.steer(gemma.model, yapo.load_vector("vector.safetensors")):
        pass
