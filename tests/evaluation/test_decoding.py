"""The decoding engine against plain decoding, and against transformers' ``generate`` inside ``yapo.steer``."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
import torch

import yapo
from tests.conftest import random_sae
from tests.evaluation.plain_decoding import complete
from tests.steering.methods.test_dspa_map import make_map
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder, Sampling
from yapo.evaluation.decoding.conditions import token_edits
from yapo.evaluation.decoding.sampling import sample
from yapo.models.language_model import LanguageModel, pad_left
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods.dspa.edit import Conditional
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


def vector(space: str, sae: SAE, scale: float, steer_bos: bool = False, layer: int = LAYER) -> SteeringVector:
    width = 32 if space == "dense" else 64
    values = scale * torch.randn(width, generator=torch.Generator().manual_seed(width))
    digest = sae.digest if space == "sparse" else ""
    return SteeringVector(values, VectorInfo("m", space, layer, "tiny", "", sae_digest=digest, steer_bos=steer_bos))


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


def grid(sae: SAE) -> list[Condition]:
    """Conditions of every kind of vector, in mixed order."""
    dense, sparse, kept = Dense(32), Sparse(sae), Sparse(sae, "jumprelu")
    u, s = vector("dense", sae, 1.0).values, vector("sparse", sae, 1.0).values
    few = torch.where(torch.arange(64) % 3 == 0, 0.0, s)
    return [
        Condition(dense, 2 * u),
        Condition(sparse, few),
        Condition(),
        Condition(dense, -u),
        Condition(sparse, -2 * few, steer_bos=True),
        Condition(kept, 2 * s),
        Condition(Dense(32), u),
        Condition(),
    ]


def test_many_conditions_equal_plain_decoding(gemma: LanguageModel, any_sae: SAE) -> None:
    expected = complete(gemma, LAYER, PROMPTS[1:5], grid(any_sae), NEW)
    for rows, steps in ((3, 1), (64, 2)):
        assert Decoder(gemma, rows, steps=steps).complete(LAYER, PROMPTS[1:5], grid(any_sae), NEW) == expected
    assert len({str(completions) for completions in expected}) == 7


def test_rows_that_end_are_replaced_by_waiting_ones(lm: LanguageModel, sae: SAE) -> None:
    conditions = grid(sae)[:4]
    token = complete(lm, LAYER, PROMPTS[:1], [Condition()], 3)[0][0][2]
    ending = ending_at(lm, token)
    expected = complete(ending, LAYER, PROMPTS, conditions, NEW)
    assert Decoder(ending, 5, steps=3).complete(LAYER, PROMPTS, conditions, NEW) == expected
    assert len({len(row) for rows in expected for row in rows}) > 1


def test_rows_that_end_leave_the_others_alone(gemma: LanguageModel, sae: SAE) -> None:
    """Most rows end at once, so that the batch shrinks while the rest goes on."""
    ending = ending_at(gemma, complete(gemma, LAYER, PROMPTS[:1], [Condition()], 1)[0][0][0])
    conditions = [Condition(), condition(vector("dense", sae, 1.0), sae), condition(vector("sparse", sae, 1.0), sae)]
    found = Decoder(ending, 64).complete(LAYER, [*PROMPTS, *[PROMPTS[0]] * 5], conditions, NEW)
    assert [rows[: len(PROMPTS)] for rows in found] == complete(ending, LAYER, PROMPTS, conditions, NEW)
    assert [len(row) for row in found[0][len(PROMPTS) :]] == [1] * 5
    assert max(len(row) for row in found[0]) == NEW


@pytest.mark.parametrize(
    ("space", "layer", "bos"),
    [(None, 1, False), ("dense", 1, False), ("sparse", 1, False), ("sparse", 0, True), ("dense", 2, True), ("sparse", 2, False)],
)
def test_engine_equals_the_library_inside_steer(lm: LanguageModel, sae: SAE, space: str | None, layer: int, bos: bool) -> None:
    unsteered = library(lm, PROMPTS)
    asked, expected = Condition(), unsteered
    if space is not None:
        steering = vector(space, sae, 2.0, bos, layer)
        asked = condition(steering, sae)
        with yapo.steer(lm.model, steering, sae=sae):
            expected = library(lm, PROMPTS)
    for rows in (1, 4):
        assert Decoder(lm, rows).complete(layer, PROMPTS, [asked], NEW) == [expected]
    assert (expected == unsteered) is (space is None)
    if bos and layer == 0:
        assert Decoder(lm, 4).complete(layer, PROMPTS, [replace(asked, steer_bos=False)], NEW) != [expected]


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_multiplier_zero_equals_unsteered(lm: LanguageModel, sae: SAE, space: str) -> None:
    zero = condition(vector(space, sae, 0.0), sae)
    plain, steered = Decoder(lm, 64).complete(LAYER, PROMPTS, [Condition(), zero], NEW)
    assert steered == plain


def test_a_completion_stops_at_every_end_that_the_model_states(gemma: LanguageModel) -> None:
    """Gemma-2 states two, and Llama 3 three: one in ``config.json``, some in ``generation_config.json``."""
    full = library(gemma, PROMPTS)
    first, second, third = full[0][2], full[1][1], full[2][3]
    model = copy.deepcopy(gemma.model)
    model.config.eos_token_id, model.generation_config.eos_token_id = first, [second, third]
    stating = LanguageModel(model, gemma.tokenizer, "tiny")
    ends = {first, second, third}
    assert ends | gemma.tokenizer.ends >= stating.tokenizer.ends >= ends
    written = Decoder(stating, 3).complete(LAYER, PROMPTS, [Condition()], NEW)[0]
    assert written == [until_end(row, stating.tokenizer.ends) for row in full] == library(stating, PROMPTS)
    assert {row[-1] for row in written} >= ends
    texts = [stating.tokenizer.decode([*row, 50, 51]) for row in written[:3]]
    assert texts == [gemma.tokenizer.decode(row[:-1]) for row in written[:3]]


def test_length_limits_order_and_empty_requests(gemma: LanguageModel) -> None:
    decoder, full = Decoder(gemma, 4), library(gemma, PROMPTS)
    for limit in (1, 2):
        assert decoder.complete(LAYER, PROMPTS, [Condition()], limit)[0] == [row[:limit] for row in full]
    assert decoder.complete(LAYER, PROMPTS[::-1], [Condition()], NEW)[0] == full[::-1]
    assert decoder.complete(LAYER, [], [Condition()], NEW) == [[]]
    assert decoder.complete(LAYER, PROMPTS, [], NEW) == []


def test_tokens_on_which_no_feature_fires(gemma: LanguageModel, sae: SAE) -> None:
    """Then ReLU(u)·W_dec is all there is to add."""
    silent = replace(sae, threshold=torch.full((64,), 1e9))
    u = vector("sparse", sae, 1.0).values
    conditions = [Condition(Dense(32), u.relu() @ sae.W_dec), Condition(Sparse(silent), u)]
    dense, sparse = Decoder(gemma, 64).complete(LAYER, PROMPTS, conditions, NEW)
    assert sparse == dense


@pytest.mark.parametrize("layers", [(0, 2), (1, 1)])
@pytest.mark.parametrize("edits", ["answer", "all"])
def test_edits_that_depend_on_the_prompt(gemma: LanguageModel, sae: SAE, layers: tuple[int, int], edits: str) -> None:
    made = make_map(sae, sae, layer_in=layers[0], layer_out=layers[1], mode="both", k_diff=16, edits=edits)
    dspa = Conditional(made, sae, sae)
    conditions = [Condition(dspa, torch.tensor([0.8])), Condition(), Condition(dspa, torch.tensor([-0.8])), grid(sae)[0]]
    expected = complete(gemma, LAYER, PROMPTS, conditions, NEW)
    assert Decoder(gemma, 5, steps=2).complete(LAYER, PROMPTS, conditions, NEW) == expected
    assert expected[0] != expected[1]


@pytest.mark.parametrize("kind", ["dense", "relu", "jumprelu", "dspa"])
def test_edit_of_one_token_equals_the_intervention(any_sae: SAE, kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(6, 1, 32, generator=generator)
    intervention: Intervention
    if kind == "dspa":
        intervention = Conditional(make_map(any_sae, any_sae, layer_in=0, layer_out=0, mode="both", k_diff=16), any_sae, any_sae)
        u = torch.tensor([[0.7], [-0.7]])
    else:
        intervention = Dense(32) if kind == "dense" else Sparse(any_sae, kind)
        u = torch.randn(2, intervention.width, generator=generator)
        u[:, ::4] = 0
    context = intervention.context(torch.randn(6, 5, 32, generator=generator), torch.full((6, 5), 9), torch.ones(6, 5).bool())
    owner, live = torch.tensor([[0], [1], [0], [1], [1], [0]]), torch.ones(6, 1, dtype=torch.bool)
    expected = intervention.edit(hidden, intervention.codes(hidden), intervention.edit_state(u), owner, live, context) - hidden
    ((_, edit),) = token_edits([intervention, intervention, None], [u[0], u[1], None], 6, torch.float32, torch.device("cpu"))
    edit.admit(torch.arange(6), context)
    assert torch.allclose(edit(hidden[:, 0], owner[:, 0]), expected[:, 0], atol=2e-6)
    assert not edit(hidden[:, 0], torch.full((6,), 2)).any()  # an unsteered row stays as it is, bit for bit


def test_storage_is_kept_from_call_to_call(gemma: LanguageModel, sae: SAE) -> None:
    decoder, conditions = Decoder(gemma, 4), grid(sae)[1:4]
    for prompts in (PROMPTS[:3], PROMPTS[:2], [row * 3 for row in PROMPTS[:3]]):
        assert decoder.complete(LAYER, prompts, conditions, NEW) == complete(gemma, LAYER, prompts, conditions, NEW)
    assert decoder.complete(LAYER, [], conditions, NEW) == [[] for _ in conditions]


def test_conditions_of_another_layer_need_no_row_of_those_before(gemma: LanguageModel, sae: SAE) -> None:
    """Twelve conditions of one layer leave their numbers in a row that one of another layer does not fill."""
    u = vector("dense", sae, 1.0).values
    elsewhere = Dense(32)
    elsewhere.layer = LAYER - 1
    conditions = [*(Condition(Dense(32), (0.5 + i) * u) for i in range(12)), Condition(elsewhere, u)]
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(7)]
    found = Decoder(gemma, 8).complete(LAYER, prompts, conditions, NEW)
    assert found[::12] == complete(gemma, LAYER, prompts, conditions[::12], NEW)


def test_samples_follow_from_the_seed_alone(gemma: LanguageModel, sae: SAE) -> None:
    first, again, other = (
        Decoder(gemma, rows, steps=steps).complete(LAYER, PROMPTS, grid(sae)[:3], NEW, Sampling(1.0, seed))
        for rows, steps, seed in ((2, 1, 5), (64, 4, 5), (64, 4, 6))
    )
    assert first == again != other


def test_samples_have_the_distribution_of_the_softmax() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    n = 20000
    drawn = sample(logits.expand(n, 4), 0.5, torch.arange(n), torch.zeros(n, dtype=torch.long))
    counted = Counter(drawn.tolist())
    for token, p in enumerate((logits / 0.5).softmax(0).tolist()):
        assert abs(counted[token] / n - p) < 4 * (p * (1 - p) / n) ** 0.5 + 1e-4


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_cannot_be_is_refused(temperature: float) -> None:
    with pytest.raises(YapoError, match="temperature="):
        Sampling(temperature)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_captured_steps_equal_plain_ones() -> None:
    from tests.conftest import tiny_model
    from world.build.corpus import Corpus
    from world.build.tokenizer import train_tokenizer
    from yapo.data.atlas import load_atlas
    from yapo.models.tokenizer import ChatTokenizer

    tokenizer = ChatTokenizer(train_tokenizer(Corpus(load_atlas()).strings(), 600))
    lm = LanguageModel(tiny_model("gemma2", len(tokenizer.tokenizer)).cuda(), tokenizer, "tiny", "tiny")
    sae = random_sae("jumprelu").to(torch.device("cuda"))
    expected = complete(lm, LAYER, PROMPTS * 4, grid(sae), 24)
    decoder = Decoder(lm, 16, steps=4)
    for _ in range(2):  # the second time every step is a replay
        assert decoder.complete(LAYER, PROMPTS * 4, grid(sae), 24) == expected
