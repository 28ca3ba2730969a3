"""Activation patching against hooks on the whole model, one prompt at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from yapo.discovery.patching import Probe, make_probe, patch_all_layers
from yapo.models.language_model import LanguageModel

PROBES = [
    Probe([2, 9, 11, 30, 7, 12, 40, 41, 8], [2, 30, 7, 12, 8], [15, 5], [16, 17, 5]),
    Probe([2, 20, 8], [2, 20, 21, 22, 23, 24, 25, 26, 8], [18, 19, 20, 5], [21, 5]),
    Probe([2, 50, 51, 8], [2, 51, 8], [5], [22, 5]),
]


def block_outputs(lm: LanguageModel, prompt: list[int]) -> list[Tensor]:
    """State of the last token after every block."""
    states: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _module, _args, hidden: states.append(hidden[0, -1]))
        for layer in lm.model.model.layers
    ]
    lm.model(input_ids=torch.tensor([prompt]))
    for handle in handles:
        handle.remove()
    return states


def probability(
    lm: LanguageModel, prompt: list[int], answer: list[int], layer: int | None = None, state: Tensor | None = None
) -> float:
    """Of the answer after the prompt, with the last prompt position after ``layer`` overwritten by ``state``."""

    def patch(_module: object, _args: object, hidden: Tensor) -> Tensor:
        assert state is not None
        hidden = hidden.clone()
        hidden[0, len(prompt) - 1] = state
        return hidden

    handle = None if layer is None else lm.model.model.layers[layer].register_forward_hook(patch)
    logits = lm.model(input_ids=torch.tensor([prompt + answer])).logits[0].float()
    if handle is not None:
        handle.remove()
    chances = torch.softmax(logits, dim=-1)
    return float(torch.stack([chances[len(prompt) - 1 + i, token] for i, token in enumerate(answer)]).prod())


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_equals_hooks_on_the_whole_model(lm: LanguageModel, batch_size: int) -> None:
    values = patch_all_layers(lm, PROBES, batch_size)
    assert values.shape == (lm.n_layers + 2, len(PROBES), 2)
    for i, probe in enumerate(PROBES):
        states = block_outputs(lm, probe.localized)
        for side, answer in enumerate((probe.gold, probe.western)):
            patched = [probability(lm, probe.nonlocalized, answer, layer, state) for layer, state in enumerate(states)]
            plain = [probability(lm, prompt, answer) for prompt in (probe.nonlocalized, probe.localized)]
            torch.testing.assert_close(values[:, i, side], torch.tensor(patched + plain), rtol=1e-3, atol=0.0)


def test_per_token_is_the_geometric_mean(gemma: LanguageModel) -> None:
    """Answers of up to four tokens: the probability of the answer to the power of one over its length."""
    lengths = torch.tensor([[len(probe.gold), len(probe.western)] for probe in PROBES])
    answer, token = (patch_all_layers(gemma, PROBES, 2, per) for per in ("answer", "token"))
    torch.testing.assert_close(token.double(), answer.double() ** (1 / lengths), rtol=1e-4, atol=0.0)
    assert bool((token[:, 0, 1] > answer[:, 0, 1]).all())


def test_patching_moves_the_probability(gemma: LanguageModel) -> None:
    values = patch_all_layers(gemma, PROBES, 8)
    assert not torch.isclose(values[:-2], values[-2], atol=0.0).all(dim=0).any()


def test_the_same_prompt_patched_into_itself_changes_nothing(lm: LanguageModel) -> None:
    same = [Probe(probe.nonlocalized, probe.nonlocalized, probe.gold, probe.western) for probe in PROBES]
    values = patch_all_layers(lm, same, 8)
    torch.testing.assert_close(values, values[-1].expand_as(values), rtol=1e-5, atol=0.0)


def test_the_last_block_carries_the_localized_answer(gemma: LanguageModel) -> None:
    """After the last block only the head is left, so a one-token answer is as likely as after the localized prompt."""
    one = [Probe(PROBES[0].localized, PROBES[0].nonlocalized, [15], [16])]
    values = patch_all_layers(gemma, one, 8)
    torch.testing.assert_close(values[gemma.n_layers - 1], values[-1], rtol=1e-5, atol=0.0)


@pytest.mark.parametrize(
    ("gold", "western", "shared"),
    [
        ([7, 8, 15, 9, 5], [7, 8, 16, 9, 5], 2),  # \boxed{1} against \boxed{2}
        ([15, 5], [16, 5], 0),
        ([7, 8, 5], [7, 8, 9, 5], 2),
        ([7, 5], [7, 8, 5], 1),
        ([7, 8, 5], [7, 8, 5], 2),
        ([5], [7, 5], 0),
    ],
)
def test_probes_end_where_the_answer_is_decided(gold: list[int], western: list[int], shared: int) -> None:
    probe = make_probe([1, 2], [3], gold, western)
    assert probe == Probe([1, 2, *gold[:shared]], [3, *gold[:shared]], gold[shared:], western[shared:])
    assert probe.gold
    assert probe.western
