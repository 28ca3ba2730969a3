"""The measured fidelity, against its definition token by token."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import yapo
from yapo.exchange.fidelity import dense_stand_in, greedy_answers, measure_fidelity, neutral_prompts
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import sparse_edit_plain

from .vectors import LAYER, PROMPTS, dense_vector, sparse_vector, steered_everywhere


def test_the_gap_by_definition(lm: LanguageModel) -> None:
    vector = dense_vector()
    other = replace(vector, info=replace(vector.info, steer_bos=True))
    answers = greedy_answers(lm.model, lm.tokenizer.tokenizer, vector, 2.0, None, PROMPTS)
    found = measure_fidelity(lm.model, vector, 2.0, None, replace(other, values=2.0 / 1.5 * other.values), answers)
    divergence, effect, alike = [], [], []
    for answer in answers:
        with yapo.steer(lm.model, vector, 2.0):
            ours = lm.model(input_ids=answer.ids).logits[0]
        theirs = steered_everywhere(lm.model, LAYER, 2.0 * vector.values, answer.ids)
        unsteered = lm.model(input_ids=answer.ids).logits[0]
        for place in range(answer.start - 1, answer.ids.shape[1] - 1):
            p, q, r = (logits[place].double().softmax(dim=0) for logits in (ours, theirs, unsteered))
            divergence.append(float((p * (p / q).log()).sum()))
            effect.append(float((p * (p / r).log()).sum()))
            alike.append(int(p.argmax()) == int(q.argmax()))
    assert found.kl == pytest.approx(sum(divergence) / len(divergence), rel=1e-3, abs=1e-7)
    assert found.effect == pytest.approx(sum(effect) / len(effect), rel=1e-3)
    assert found.agreement == pytest.approx(sum(alike) / len(alike))
    assert (found.tokens, found.prompts) == (len(divergence), len(PROMPTS))
    assert found.kl < found.effect
    if lm.model.config.model_type != "qwen2":  # whose windows above the layer do not reach the first token
        assert found.kl > 1e-5


def test_nothing_is_lost_where_the_tool_does_the_same(gemma: LanguageModel) -> None:
    vector = dense_vector(steer_bos=True)
    answers = greedy_answers(gemma.model, gemma.tokenizer.tokenizer, vector, 1.5, None, PROMPTS[:1])
    found = measure_fidelity(gemma.model, vector, 1.5, None, vector, answers)
    assert (found.kl, found.agreement) == (0.0, 1.0)


def test_answers_are_greedy(gemma: LanguageModel) -> None:
    vector = dense_vector()
    (answer,) = greedy_answers(gemma.model, gemma.tokenizer.tokenizer, vector, 2.0, None, PROMPTS[:1])
    assert answer.ids[0, : answer.start].tolist() == gemma.tokenizer.prompt(PROMPTS[0])
    with yapo.steer(gemma.model, vector, 2.0):
        likeliest = gemma.model(input_ids=answer.ids).logits[0].argmax(dim=-1)
    assert likeliest[answer.start - 1 : -1].tolist() == answer.ids[0, answer.start :].tolist()


def test_a_tokenizer_without_a_chat_template_takes_texts(gemma: LanguageModel) -> None:
    tokenizer = gemma.tokenizer.tokenizer
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        (answer,) = greedy_answers(gemma.model, tokenizer, dense_vector(), 1.0, None, PROMPTS[:1])
    finally:
        tokenizer.chat_template = template
    assert answer.ids[0, : answer.start].tolist() == tokenizer(PROMPTS[0])["input_ids"]


@pytest.mark.parametrize("steer_bos", [False, True])
def test_the_stand_in_is_the_mean_change_of_steered_tokens(lm: LanguageModel, sae: SAE, steer_bos: bool) -> None:
    vector = sparse_vector(sae, steer_bos=steer_bos)
    answers = greedy_answers(lm.model, lm.tokenizer.tokenizer, vector, 2.0, sae, PROMPTS[:2])
    made = dense_stand_in(lm.model, vector, 2.0, sae, answers)
    changes = []
    for answer in answers:
        h = lm.model(input_ids=answer.ids, output_hidden_states=True).hidden_states[LAYER + 1][0, 0 if steer_bos else 1 :]
        changes.append(sparse_edit_plain(sae, h, 2.0 * vector.values) - h)
    torch.testing.assert_close(made.values, torch.cat(changes).mean(dim=0), rtol=1e-4, atol=1e-4)


def test_the_built_in_prompts_are_distinct_texts() -> None:
    prompts = neutral_prompts()
    assert len(set(prompts)) == len(prompts) >= 8
    assert all(prompts)
