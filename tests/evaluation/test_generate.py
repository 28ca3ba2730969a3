"""Our own greedy decoding against transformers' ``generate``, unsteered and inside ``yapo.steer``."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
import torch

import yapo
from yapo.evaluation.generate import Condition, complete
from yapo.models.language_model import LanguageModel, pad_left
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.vector import SteeringVector, VectorInfo

LAYER, NEW = 1, 7
PROMPTS = [
    [2, 9, 11, 30, 7, 12, 40, 41, 8, 10, 33],
    [2, 5, 6],
    [2, 20, 21, 22, 23, 24, 25, 26],
    [2],
    [2, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65],
    [2, 70, 71],
]


def ending_at(lm: LanguageModel, token: int) -> LanguageModel:
    """The same model with another token closing its turn; tiny random models never say the real one."""
    tokenizer = copy.copy(lm.tokenizer)
    tokenizer.end_of_turn = token
    return LanguageModel(lm.model, tokenizer, lm.source, lm.digest)


def vector(space: str, sae: SAE, scale: float, steer_bos: bool = False) -> SteeringVector:
    width = 32 if space == "dense" else 64
    values = scale * torch.randn(width, generator=torch.Generator().manual_seed(width))
    digest = sae.digest if space == "sparse" else ""
    return SteeringVector(values, VectorInfo("m", space, LAYER, "tiny", "", sae_digest=digest, steer_bos=steer_bos))


def condition(steering: SteeringVector, sae: SAE) -> Condition:
    intervention = Dense(32) if steering.info.space == "dense" else Sparse(sae)
    return Condition(intervention, steering.values, steering.info.steer_bos)


def library(lm: LanguageModel, prompts: Sequence[list[int]]) -> list[list[int]]:
    """Return what transformers generates greedily from the left-padded batch, up to and with the token that ends it."""
    ids, real = pad_left(list(prompts), lm.tokenizer.pad)
    ends = sorted(lm.tokenizer.ends)
    out = lm.model.generate(
        input_ids=ids, attention_mask=real.long(), max_new_tokens=NEW, do_sample=False, eos_token_id=ends, pad_token_id=0
    )
    return [until_end(row[ids.shape[1] :], ends) for row in out.tolist()]


def until_end(row: list[int], ends: Collection[int]) -> list[int]:
    place = next((i for i, token in enumerate(row) if token in ends), len(row))
    return row[: place + 1]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_unsteered_equals_the_library(lm: LanguageModel, batch_size: int) -> None:
    written = complete(lm, LAYER, PROMPTS, [Condition()], NEW, batch_size)
    assert written == [library(lm, PROMPTS)]
    assert sum(len(completion) == NEW for completion in written[0]) > 4


@pytest.mark.parametrize("space", ["dense", "sparse"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_steered_equals_the_library_inside_steer(lm: LanguageModel, sae: SAE, space: str, batch_size: int) -> None:
    steering = vector(space, sae, 2.0)
    with yapo.steer(lm.model, steering, sae=sae):
        expected = library(lm, PROMPTS)
    assert complete(lm, LAYER, PROMPTS, [condition(steering, sae)], NEW, batch_size) == [expected]
    assert expected != library(lm, PROMPTS)


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_bos_can_be_steered_too(gemma: LanguageModel, sae: SAE, space: str) -> None:
    steering = vector(space, sae, 2.0, steer_bos=True)
    with yapo.steer(gemma.model, steering, sae=sae):
        expected = library(gemma, PROMPTS)
    assert complete(gemma, LAYER, PROMPTS, [condition(steering, sae)], NEW, 3) == [expected]
    without = replace(condition(steering, sae), steer_bos=False)
    assert complete(gemma, LAYER, PROMPTS, [without], NEW, 3) != [expected]


@pytest.mark.parametrize("layer", [0, 2])
def test_other_layers(lm: LanguageModel, sae: SAE, layer: int) -> None:
    steering = vector("sparse", sae, 2.0)
    moved = SteeringVector(steering.values, replace(steering.info, layer=layer))
    with yapo.steer(lm.model, moved, sae=sae):
        expected = library(lm, PROMPTS)
    assert complete(lm, layer, PROMPTS, [condition(steering, sae)], NEW, 64) == [expected]


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_multiplier_zero_equals_unsteered(lm: LanguageModel, sae: SAE, space: str) -> None:
    zero = condition(vector(space, sae, 0.0), sae)
    plain, steered = complete(lm, LAYER, PROMPTS, [Condition(), zero], NEW, 64)
    assert steered == plain


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_many_conditions_at_once_equal_one_by_one(gemma: LanguageModel, sae: SAE, batch_size: int) -> None:
    """Shared and separate interventions, with and without BOS, in mixed order."""
    dense, sparse = Dense(32), Sparse(sae)
    u, s = vector("dense", sae, 1.0).values, vector("sparse", sae, 1.0).values
    conditions = [
        Condition(dense, 2 * u),
        Condition(sparse, s),
        Condition(),
        Condition(dense, -u),
        Condition(sparse, -2 * s, steer_bos=True),
        Condition(sparse, 2 * s),
        Condition(Dense(32), u),
        Condition(),
    ]
    together = complete(gemma, LAYER, PROMPTS, conditions, NEW, batch_size)
    alone = [complete(gemma, LAYER, PROMPTS, [one], NEW, 64)[0] for one in conditions]
    assert together == alone
    assert together[2] == together[7]
    assert len({str(completions) for completions in together}) == 7


def _common_token(completions: list[list[int]]) -> int:
    """A token that ends some completions early, some late, and some not at all."""
    tokens = {token for row in completions for token in row}
    places = {token: [row.index(token) if token in row else NEW for row in completions] for token in tokens}
    return max(sorted(tokens), key=lambda token: (len(set(places[token])), -min(places[token])))


@pytest.mark.parametrize("space", [None, "dense", "sparse"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_rows_end_at_the_end_of_turn(lm: LanguageModel, sae: SAE, space: str | None, batch_size: int) -> None:
    steering = None if space is None else vector(space, sae, 1.0)
    asked = Condition() if steering is None else condition(steering, sae)
    full = complete(lm, LAYER, PROMPTS, [asked], NEW, 64)[0]
    ending = ending_at(lm, _common_token(full))
    written = complete(ending, LAYER, PROMPTS, [asked], NEW, batch_size)[0]
    assert written == [until_end(row, ending.tokenizer.ends) for row in full]
    assert len({len(row) for row in written}) > 1
    if steering is None:
        assert written == library(ending, PROMPTS)
    else:
        with yapo.steer(lm.model, steering, sae=sae):
            assert written == library(ending, PROMPTS)


def test_rows_that_end_leave_the_others_alone(gemma: LanguageModel, sae: SAE) -> None:
    """Most rows end at once, so that the batch shrinks while the rest goes on."""
    first = [row[0] for row in complete(gemma, LAYER, PROMPTS, [Condition()], 1, 64)[0]]
    ending = ending_at(gemma, first[0])
    conditions = [Condition(), condition(vector("dense", sae, 1.0), sae), condition(vector("sparse", sae, 1.0), sae)]
    together = complete(ending, LAYER, [*PROMPTS, *[PROMPTS[0]] * 5], conditions, NEW, 64)
    alone = [[complete(ending, LAYER, [p], [one], NEW, 1)[0][0] for p in PROMPTS] for one in conditions]
    assert [rows[: len(PROMPTS)] for rows in together] == alone
    assert [len(row) for row in together[0][len(PROMPTS) :]] == [1] * 5
    assert max(len(row) for row in together[0]) == NEW


def test_a_completion_stops_at_every_end_that_the_model_states(gemma: LanguageModel) -> None:
    """As Gemma-2 states two, and Llama 3 three: one in ``config.json``, some in ``generation_config.json``."""
    full = complete(gemma, LAYER, PROMPTS, [Condition()], NEW, 64)[0]
    first, second, third = full[0][2], full[1][1], full[2][3]
    model = copy.deepcopy(gemma.model)
    model.config.eos_token_id, model.generation_config.eos_token_id = first, [second, third]
    stating = LanguageModel(model, gemma.tokenizer, "tiny")
    ends = {first, second, third}
    assert ends | gemma.tokenizer.ends >= stating.tokenizer.ends >= ends
    written = complete(stating, LAYER, PROMPTS, [Condition()], NEW, 3)[0]
    assert written == [until_end(row, stating.tokenizer.ends) for row in full] == library(stating, PROMPTS)
    assert {row[-1] for row in written} >= ends
    texts = [stating.tokenizer.decode([*row, 50, 51]) for row in written[:3]]
    assert texts == [gemma.tokenizer.decode(row[:-1]) for row in written[:3]]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_length_limit_holds(gemma: LanguageModel, limit: int) -> None:
    written = complete(gemma, LAYER, PROMPTS, [Condition()], limit, 4)[0]
    assert written == [row[:limit] for row in complete(gemma, LAYER, PROMPTS, [Condition()], NEW, 4)[0]]


def test_order_of_prompts_and_empty_requests(gemma: LanguageModel) -> None:
    forward = complete(gemma, LAYER, PROMPTS, [Condition()], NEW, 4)[0]
    assert complete(gemma, LAYER, PROMPTS[::-1], [Condition()], NEW, 4)[0] == forward[::-1]
    assert complete(gemma, LAYER, [], [Condition()], NEW, 4) == [[]]
    assert complete(gemma, LAYER, PROMPTS, [], NEW, 4) == []


def test_tokens_on_which_no_feature_fires(gemma: LanguageModel, sae: SAE) -> None:
    """Then ReLU(u)·W_dec is all there is to add."""
    silent = replace(sae, threshold=torch.full((64,), 1e9))
    u = vector("sparse", sae, 1.0).values
    expected = complete(gemma, LAYER, PROMPTS, [Condition(Dense(32), u.relu() @ sae.W_dec)], NEW, 64)
    assert complete(gemma, LAYER, PROMPTS, [Condition(Sparse(silent), u)], NEW, 64) == expected
