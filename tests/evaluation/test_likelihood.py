"""Log-probabilities of answers against whole sequences, and against what decoding writes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation import plain_decoding, plain_likelihood
from tests.evaluation.test_decoding import grid, vector
from tests.steering.methods.test_dspa_map import make_map
from yapo.evaluation.decoding import Condition
from yapo.evaluation.likelihood import answer_log_probs
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.pair_batch import TokenOptions

LAYER = 1
token = st.integers(6, 60)
answer = st.lists(token, min_size=1, max_size=5)
question = st.builds(
    TokenOptions,
    st.lists(token, max_size=12).map(lambda ids: [2, *ids]),
    st.lists(answer, min_size=1, max_size=4).map(tuple),
)
QUESTIONS = [
    TokenOptions([2, 9, 11, 30, 7, 12, 40, 41, 8], ([15, 16, 17], [15, 16, 18, 19], [20])),
    TokenOptions([2, 9, 8], ([21, 22], [21, 22])),
    TokenOptions([2], ([31], [32, 33, 34, 35, 36, 37, 38, 39], [40, 41], [42, 43])),
]


def every_kind(sae: SAE) -> list[Condition]:
    """Unsteered, dense and sparse conditions in mixed order, and prompt-dependent ones of two other places."""
    both = Conditional(make_map(sae, sae, layer_in=0, layer_out=2, mode="both", k_diff=16, edits="all"), sae, sae)
    answers = Conditional(make_map(sae, sae, layer_in=1, layer_out=1, mode="both", k_diff=16, edits="answer"), sae, sae)
    prompted = [Condition(both, torch.tensor([0.8])), Condition(answers, torch.tensor([-0.8]))]
    return [*grid(sae), *prompted, Condition(both, torch.tensor([-0.8]), steer_bos=True)]


def compare(lm: LanguageModel, questions: list[TokenOptions], conditions: list[Condition], rows: int) -> None:
    expected = plain_likelihood.answer_log_probs(lm, LAYER, questions, conditions)
    found = answer_log_probs(lm, LAYER, questions, conditions, rows)
    for mine, plain in zip(found, expected, strict=True):
        for values, own in zip(mine, plain, strict=True):
            assert values == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_every_kind_of_condition_equals_whole_sequences(gemma: LanguageModel, any_sae: SAE, rows: int) -> None:
    compare(gemma, QUESTIONS, every_kind(any_sae), rows)


def test_every_architecture_equals_whole_sequences(lm: LanguageModel, sae: SAE) -> None:
    compare(lm, QUESTIONS, every_kind(sae)[::3], 2)


@settings(max_examples=8, deadline=None)
@given(questions=st.lists(question, min_size=1, max_size=4), rows=st.integers(1, 5), kinds=st.data())
def test_any_shape_equals_whole_sequences(
    gemma: LanguageModel, sae: SAE, questions: list[TokenOptions], rows: int, kinds: st.DataObject
) -> None:
    chosen = kinds.draw(st.lists(st.sampled_from(range(len(every_kind(sae)))), min_size=1, max_size=4))
    conditions = every_kind(sae)
    compare(gemma, questions, [conditions[i] for i in chosen], rows)


def test_what_decoding_writes_is_the_likeliest_answer_of_its_length(gemma: LanguageModel, sae: SAE) -> None:
    """Of all answers of one token, greedy decoding writes the one with the highest log-probability."""
    vocabulary = gemma.model.config.vocab_size
    every = TokenOptions(QUESTIONS[0].prompt, tuple([i] for i in range(vocabulary)))
    conditions = every_kind(sae)[:3]
    written = plain_decoding.complete(gemma, LAYER, [every.prompt], conditions, 1)
    for (values,), ((first,),) in zip(answer_log_probs(gemma, LAYER, [every], conditions, 8), written, strict=True):
        assert max(range(vocabulary), key=values.__getitem__) == first
        assert sum(map(math.exp, values)) == pytest.approx(1.0, abs=1e-3)


def test_nothing_to_ask_and_a_vector_of_zeros(gemma: LanguageModel, sae: SAE) -> None:
    zero = Condition(Dense(32), vector("dense", sae, 0.0).values)
    assert answer_log_probs(gemma, LAYER, [], [Condition()], 8) == [[]]
    assert answer_log_probs(gemma, LAYER, QUESTIONS, [], 8) == []
    plain, steered = answer_log_probs(gemma, LAYER, QUESTIONS, [Condition(), zero], 8)
    assert steered == plain
    assert plain[1][0] == plain[1][1]  # two answers alike
