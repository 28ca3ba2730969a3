"""The activation store: right, the same from disk, resumable, bounded, and never mistaken for another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering import activations as module
from yapo.steering.activations import ActivationStore, StoreKey, build_store, reencode
from yapo.steering.pair_batch import TokenPair

from .test_pair_batch import PAIRS, plain_log_prob

LAYER = 1


def dense(store: ActivationStore, i: int) -> torch.Tensor:
    """Codes of a pair, ``[tokens, 64]``."""
    codes = store.codes[i]
    token = torch.repeat_interleave(torch.arange(codes.counts.shape[1]), codes.counts[0].long())
    return torch.zeros(codes.counts.shape[1], 64).index_put((token, codes.ids.long()), codes.values)


def assert_same(a: ActivationStore, b: ActivationStore) -> None:
    assert a.key == b.key
    assert a.pairs == b.pairs
    assert torch.equal(a.reference, b.reference)
    assert all(torch.equal(x, y) for x, y in zip(a.hidden, b.hidden, strict=True))
    assert all(torch.equal(dense(a, i), dense(b, i)) for i in range(len(a.pairs)))


def test_holds_what_the_plain_model_computes(lm: LanguageModel, any_sae: SAE) -> None:
    store = build_store(lm, LAYER, any_sae, PAIRS, batch_size=3)
    for i, pair in enumerate(PAIRS):
        expected = [plain_log_prob(lm, pair.prompt, pair.chosen), plain_log_prob(lm, pair.prompt, pair.rejected)]
        torch.testing.assert_close(store.reference[i], torch.stack(expected), rtol=1e-5, atol=1e-5)
        ids = torch.tensor([pair.prompt + pair.chosen[:-1]])
        residual = lm.model(input_ids=ids, output_hidden_states=True).hidden_states[LAYER + 1][0]
        torch.testing.assert_close(store.hidden[i][: len(residual)], residual, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(dense(store, i), any_sae.encode(store.hidden[i]), rtol=1e-4, atol=1e-4)


def test_saved_store_is_the_same(tmp_path: Path, gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, PAIRS, batch_size=4)
    store.save(tmp_path / "store.safetensors", {"counts": 4})
    store.save(tmp_path / "again.safetensors", {"counts": 4})
    loaded, header = ActivationStore.load(tmp_path / "store.safetensors")
    assert header == {"counts": 4}
    assert_same(loaded, store)
    assert (tmp_path / "store.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


@pytest.mark.parametrize("part_bytes", [1, 2000, 2**28])
def test_built_in_parts_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gemma: LanguageModel, sae: SAE, part_bytes: int
) -> None:
    whole = build_store(gemma, LAYER, sae, PAIRS, batch_size=1)
    monkeypatch.setattr(module, "PART_BYTES", part_bytes)
    assert_same(build_store(gemma, LAYER, sae, PAIRS, 1, tmp_path / "parts"), whole)


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gemma: LanguageModel, sae: SAE) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 1)
    whole = build_store(gemma, LAYER, sae, PAIRS, 1, tmp_path)
    (tmp_path / "2.safetensors").unlink()
    (tmp_path / "3.safetensors").unlink()  # not overwritten in place: it is still mapped
    (tmp_path / "3.safetensors").write_bytes(b"cut off")
    ran: list[TokenPair] = []
    run = module._run

    def counting(*args: object) -> ActivationStore:
        ran.extend(args[-1])  # type: ignore[arg-type]
        return run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_run", counting)
    assert_same(build_store(gemma, LAYER, sae, PAIRS, 1, tmp_path), whole)
    by_length = sorted(PAIRS, key=lambda pair: len(pair.tokens))
    assert ran == by_length[2:]


def test_parts_of_another_store_are_not_used(tmp_path: Path, gemma: LanguageModel, sae: SAE) -> None:
    build_store(gemma, LAYER, sae, PAIRS, 4, tmp_path)
    other = replace(sae, b_enc=sae.b_enc + 0.1)
    assert_same(build_store(gemma, LAYER, other, PAIRS, 4, tmp_path), build_store(gemma, LAYER, other, PAIRS, 4))


def test_the_key_tells_stores_apart(gemma: LanguageModel, sae: SAE) -> None:
    keys = {
        StoreKey.of(gemma, LAYER, sae, PAIRS),
        StoreKey.of(gemma, 2, sae, PAIRS),
        StoreKey.of(gemma, LAYER, replace(sae, b_enc=sae.b_enc + 1), PAIRS),
        StoreKey.of(gemma, LAYER, sae, PAIRS[1:]),
        StoreKey.of(gemma, LAYER, sae, [replace(PAIRS[0], chosen=[9]), *PAIRS[1:]]),
    }
    assert len(keys) == 5
    assert StoreKey.of(gemma, LAYER, sae, list(PAIRS)) in keys


def test_a_store_over_the_bound_is_refused_before_the_model_runs(gemma: LanguageModel, sae: SAE) -> None:
    size = sum(len(pair.tokens) for pair in PAIRS) * 32 * 4
    with pytest.raises(YapoError, match=r"store.max_gigabytes=.*the activations of 4 pairs take at least .* GB; raise it"):
        build_store(gemma, 99, sae, PAIRS, 4, max_bytes=size - 1)  # a layer that would fail if it were run


def test_codes_count_towards_the_bound(gemma: LanguageModel, sae: SAE) -> None:
    store = build_store(gemma, LAYER, sae, PAIRS, 4)
    with pytest.raises(YapoError, match=r"store.max_gigabytes"):
        build_store(gemma, LAYER, sae, PAIRS, 4, max_bytes=store.size - 1)
    build_store(gemma, LAYER, sae, PAIRS, 4, max_bytes=store.size)


def test_joined_stores_stand_end_to_end(gemma: LanguageModel, sae: SAE) -> None:
    first, second = build_store(gemma, LAYER, sae, PAIRS[:1], 4), build_store(gemma, LAYER, sae, PAIRS[1:], 4)
    joined, whole = ActivationStore.joined([first, second]), build_store(gemma, LAYER, sae, PAIRS, 1)
    assert joined.pairs == whole.pairs
    assert joined.hidden[0].data_ptr() == first.hidden[0].data_ptr()  # nothing is copied
    torch.testing.assert_close(joined.reference, whole.reference, rtol=1e-5, atol=1e-5)
    other = build_store(gemma, 2, sae, PAIRS, 4)
    with pytest.raises(YapoError, match="cannot be joined"):
        ActivationStore.joined([first, other])


def test_reencoding_equals_building_with_that_autoencoder(gemma: LanguageModel, sae: SAE, any_sae: SAE) -> None:
    given = reencode(any_sae, build_store(gemma, 1, sae, PAIRS, 4))
    built = build_store(gemma, 1, any_sae, PAIRS, 4)
    assert given.key == built.key
    for one, other in zip(given.codes, built.codes, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.counts, other.counts)
    assert torch.equal(given.reference, built.reference)


def test_reencoding_by_an_autoencoder_of_another_layer_is_refused(gemma: LanguageModel, sae: SAE) -> None:
    with pytest.raises(YapoError, match="made for layer 3, but layer 1 is steered"):
        reencode(replace(sae, layer=3), build_store(gemma, 1, sae, PAIRS, 4))
