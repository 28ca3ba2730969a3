"""The decoding engine against its plain twin ``complete`` and against transformers' ``generate`` inside ``yapo.steer``."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import yapo
from tests.conftest import random_sae
from tests.evaluation.test_generate import LAYER, NEW, PROMPTS, condition, ending_at, library, vector
from tests.steering.methods.test_dspa_map import make_map
from yapo.errors import YapoError
from yapo.evaluation.decoding import Decoder, Sampling
from yapo.evaluation.decoding.sampling import sample
from yapo.evaluation.decoding.steering import token_edits
from yapo.evaluation.generate import Condition, complete
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods.dspa.edit import Conditional


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


@pytest.mark.parametrize(("rows", "steps"), [(3, 1), (64, 2)])
def test_few_rows_and_many(gemma: LanguageModel, any_sae: SAE, rows: int, steps: int) -> None:
    expected = complete(gemma, LAYER, PROMPTS, grid(any_sae), NEW, 64)
    assert Decoder(gemma, rows, steps=steps).complete(LAYER, PROMPTS, grid(any_sae), NEW) == expected


def test_rows_that_end_are_replaced_by_waiting_ones(lm: LanguageModel, sae: SAE) -> None:
    conditions = grid(sae)
    token = complete(lm, LAYER, PROMPTS, [Condition()], NEW, 64)[0][0][2]
    ending = ending_at(lm, token)
    expected = complete(ending, LAYER, PROMPTS, conditions, NEW, 64)
    assert Decoder(ending, 7, steps=3).complete(LAYER, PROMPTS, conditions, NEW) == expected
    assert len({len(row) for rows in expected for row in rows}) > 1


@pytest.mark.parametrize("space", ["dense", "sparse"])
def test_engine_equals_the_library_inside_steer(lm: LanguageModel, sae: SAE, space: str) -> None:
    steering = vector(space, sae, 2.0)
    with yapo.steer(lm.model, steering, sae=sae):
        expected = library(lm, PROMPTS)
    assert Decoder(lm, 4).complete(LAYER, PROMPTS, [condition(steering, sae)], NEW) == [expected]


@pytest.mark.parametrize("layers", [(0, 2), (1, 1)])
@pytest.mark.parametrize("edits", ["answer", "all"])
def test_edits_that_depend_on_the_prompt(gemma: LanguageModel, sae: SAE, layers: tuple[int, int], edits: str) -> None:
    made = make_map(sae, sae, layer_in=layers[0], layer_out=layers[1], mode="both", k_diff=16, edits=edits)
    dspa = Conditional(made, sae, sae)
    conditions = [Condition(dspa, torch.tensor([0.8])), Condition(), Condition(dspa, torch.tensor([-0.8])), grid(sae)[0]]
    expected = complete(gemma, LAYER, PROMPTS, conditions, NEW, 64)
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
    decoder, conditions = Decoder(gemma, 4), grid(sae)
    for prompts in (PROMPTS, PROMPTS[:2], [row * 3 for row in PROMPTS]):
        assert decoder.complete(LAYER, prompts, conditions, NEW) == complete(gemma, LAYER, prompts, conditions, NEW, 64)
    assert decoder.complete(LAYER, [], conditions, NEW) == [[] for _ in conditions]
    assert decoder.complete(LAYER, PROMPTS, [], NEW) == []
    assert decoder.complete(LAYER, PROMPTS, [Condition()], 1) == complete(gemma, LAYER, PROMPTS, [Condition()], 1, 64)


def test_conditions_of_another_layer_need_no_row_of_those_before(gemma: LanguageModel, sae: SAE) -> None:
    """Twelve conditions of one layer leave their numbers in a row that one of another layer does not fill."""
    u = vector("dense", sae, 1.0).values
    elsewhere = Dense(32)
    elsewhere.layer = LAYER - 1
    conditions = [*(Condition(Dense(32), (0.5 + i) * u) for i in range(12)), Condition(elsewhere, u)]
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(7)]
    found = Decoder(gemma, 8).complete(LAYER, prompts, conditions, NEW)
    assert found == complete(gemma, LAYER, prompts, conditions, NEW, 64)


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
    expected = complete(lm, LAYER, PROMPTS * 4, grid(sae), 24, 64)
    decoder = Decoder(lm, 16, steps=4)
    for _ in range(2):  # the second time every step is a replay
        assert decoder.complete(LAYER, PROMPTS * 4, grid(sae), 24) == expected
