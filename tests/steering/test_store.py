"""The tree layout and the upper-only pass against two plain forward passes of the whole model."""

from __future__ import annotations

import torch

from yapo.models.language_model import LanguageModel
from yapo.steering.store import ActivationStore, Pair, answer_log_probs, build_store

PAIRS = [
    Pair([2, 9, 11, 30, 7, 12, 40, 41, 8], [15, 16, 5], [17, 18, 19, 20, 5]),
    Pair([2, 9, 8], [21, 5], [22, 5]),
    Pair([2, 31, 32, 33, 34, 35, 8], [23, 24, 25, 26, 27, 5], [28, 5]),
    Pair([2, 8], [5], [29, 30, 5]),
]


def plain_log_prob(lm: LanguageModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Sum over answer tokens of log softmax of the full model's logits, from the definition."""
    logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0].float()
    log_probs = torch.log_softmax(logits, dim=-1)
    return torch.stack([log_probs[len(prompt) - 1 + i, token] for i, token in enumerate(answer)]).sum()


def test_reference_equals_two_full_passes(lm: LanguageModel) -> None:
    for layer in range(lm.n_layers - 1):
        store = build_store(lm, layer, PAIRS, batch_size=3)
        expected = torch.stack(
            [torch.stack([plain_log_prob(lm, p.prompt, p.chosen), plain_log_prob(lm, p.prompt, p.rejected)]) for p in PAIRS]
        )
        torch.testing.assert_close(store.reference, expected, rtol=1e-5, atol=1e-5)


def test_upper_pass_of_a_mixed_batch_equals_the_reference(lm: LanguageModel) -> None:
    store = build_store(lm, 1, PAIRS, batch_size=4)
    batch, hidden = store.batch([2, 0, 3, 1])
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    again = answer_log_probs(lm, hidden, 1, batch, masks)
    torch.testing.assert_close(again, store.reference[[2, 0, 3, 1]], rtol=1e-5, atol=1e-5)


def test_saved_store_is_the_same(tmp_path, gemma: LanguageModel) -> None:
    store = build_store(gemma, 1, PAIRS, batch_size=4)
    store.save(tmp_path / "store.safetensors", {"layer": 1})
    loaded, header = ActivationStore.load(tmp_path / "store.safetensors")
    assert header == {"layer": 1}
    assert loaded.pairs == PAIRS
    assert torch.equal(loaded.reference, store.reference)
    assert all(torch.equal(a, b) for a, b in zip(loaded.hidden, store.hidden, strict=True))
