"""Steerability of each layer against its definition: hidden states of the library, and ``yapo.steer`` around ``generate``."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import yapo
from yapo.discovery.steerability import last_states, steer_every_layer
from yapo.evaluation.decoding import Condition, Decoder
from yapo.models.language_model import LanguageModel, pad_left
from yapo.steering.vector import SteeringVector, VectorInfo

LOCALIZED = [[2, 9, 11, 30, 7, 12, 40, 41, 8], [2, 9, 11, 6, 8], [2, 9, 11, 20, 21, 8]]
NONLOCALIZED = [[2, 30, 7, 12, 40, 41, 8], [2, 6, 8], [2, 20, 21, 8]]
QUESTIONS = [[2, 50, 51, 52, 8], [2, 53, 8], [2, 54, 55, 56, 57, 58, 59, 60, 8], [2, 61, 62, 8], [2, 63, 64, 8]]
MULTIPLIERS, NEW = [0.0, 1.0, 3.0], 4


def right(completions: list[str]) -> list[bool]:
    """A fixed rule that random completions meet about every other time."""
    return [zlib.crc32(text.encode()) % 2 == 0 for text in completions]


def judged(
    lm: LanguageModel, batch_size: int, judge: Callable[[list[str]], list[bool]]
) -> Callable[[int, list[Condition]], list[list[bool]]]:
    """Return a function that writes completions of ``QUESTIONS`` and judges them."""

    def ask(layer: int, conditions: list[Condition]) -> list[list[bool]]:
        written = Decoder(lm, batch_size).complete(layer, QUESTIONS, conditions, NEW)
        return [judge([lm.tokenizer.decode(ids) for ids in completions]) for completions in written]

    return ask


def plain_states(lm: LanguageModel, prompts: list[list[int]]) -> Tensor:
    """Last-token state after every block, ``[layers, prompts, d_model]``, one prompt at a time."""
    columns = []
    for prompt in prompts:
        states: list[Tensor] = []
        handles = [
            layer.register_forward_hook(lambda _module, _args, hidden, states=states: states.append(hidden[0, -1]))
            for layer in lm.model.model.layers
        ]
        lm.model(input_ids=torch.tensor([prompt]))
        for handle in handles:
            handle.remove()
        columns.append(torch.stack(states))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_last_states(lm: LanguageModel, batch_size: int) -> None:
    torch.testing.assert_close(last_states(lm, LOCALIZED, batch_size), plain_states(lm, LOCALIZED), rtol=1e-4, atol=1e-4)


def plain_steerability(lm: LanguageModel) -> list[list[list[bool]]]:
    """``[layers - 1][multipliers][questions]``."""
    vectors = (plain_states(lm, LOCALIZED) - plain_states(lm, NONLOCALIZED)).mean(dim=1)
    ids, real = pad_left(QUESTIONS, 0)
    end = lm.tokenizer.end_of_turn
    results = []
    for layer in range(lm.n_layers - 1):
        vector = SteeringVector(vectors[layer], VectorInfo("caa", "dense", layer, "tiny", ""))
        tried = []
        for multiplier in MULTIPLIERS:
            with yapo.steer(lm.model, vector, multiplier):
                out = lm.model.generate(
                    input_ids=ids,
                    attention_mask=real.long(),
                    max_new_tokens=NEW,
                    do_sample=False,
                    eos_token_id=end,
                    pad_token_id=end,
                )
            tried.append(right([lm.tokenizer.decode(row[ids.shape[1] :].tolist()) for row in out]))
        results.append(tried)
    return results


def test_equals_the_definition(lm: LanguageModel) -> None:
    plain = plain_steerability(lm)
    found = steer_every_layer(lm, LOCALIZED, NONLOCALIZED, MULTIPLIERS, 3, judged(lm, 3, right))
    assert len(found) == lm.n_layers - 1
    for layer, tried in enumerate(plain):
        assert sum(found[layer]) == max(map(sum, tried))
        assert found[layer] == max(tried, key=sum)
    assert any(tried[1] != tried[0] for tried in plain)


def test_unsteered_wins_a_tie(gemma: LanguageModel) -> None:
    """With multiplier 0 listed first, a layer where steering helps nothing shows the model's own answers."""
    seen: list[list[str]] = []

    def first_question(completions: list[str]) -> list[bool]:
        seen.append(completions)
        return [i == len(seen) % 3 for i in range(len(completions))]

    found = steer_every_layer(gemma, LOCALIZED, NONLOCALIZED, MULTIPLIERS, 8, judged(gemma, 8, first_question))
    assert found == [[False, True, False, False, False]] * 3
    assert len(seen) == 9
    assert seen[0] == seen[3] == seen[6]
