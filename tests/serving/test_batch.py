"""Rows of a batch against ``generate`` under ``yapo.steer``, on all architectures, also beyond a sliding window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

import yapo
from tests.steering.test_conversation import PROMPTS, saes
from tests.steering.test_conversation import vector as map_vector
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.serving.batch import NOT_FINITE, Batch
from yapo.serving.row import DecodingOptions, Piece, Row
from yapo.serving.vectors import NamedVector, Strengths, edits_of
from yapo.steering.vector import SteeringVector, VectorInfo

NEW = 8


@pytest.fixture
def vectors(lm: LanguageModel, sae: SAE) -> dict[str, NamedVector]:
    g = torch.Generator().manual_seed(1)
    dense = SteeringVector(torch.randn(32, generator=g), VectorInfo("caa", "dense", 1, "tiny", ""))
    values = torch.randn(64, generator=g) * (torch.rand(64, generator=g) < 0.3)
    sparse = SteeringVector(values, VectorInfo("yapo", "sparse", 1, "tiny", "", sae="out", sae_digest=sae.digest))
    bos = SteeringVector(dense.values, replace(dense.info, steer_bos=True))
    found = {"dense": dense, "sparse": sparse, "map": map_vector(sae), "same": map_vector(sae, (1, 1)), "bos": bos}
    return {name: NamedVector.of(name, vector, lm.model, saes(sae)) for name, vector in found.items()}


ROWS: list[list[tuple[str, float]]] = [
    [],
    [("dense", 2.0)],
    [("sparse", -1.5)],
    [("sparse", 3.0)],
    [("map", 1.0)],
    [("dense", 1.0), ("sparse", 2.0)],
    [("sparse", 2.0), ("dense", 1.0)],
    [("same", -0.5), ("dense", 1.0)],
    [("bos", 1.0)],
]


def plain(lm: LanguageModel, prompt: list[int], chosen: Strengths, sae: SAE) -> list[int]:
    """Return the tokens of one prompt alone by the library's own generation."""
    ids = torch.tensor([prompt])
    given = {"attention_mask": torch.ones_like(ids), "max_new_tokens": NEW, "do_sample": False, "eos_token_id": None}
    if not chosen:
        return [int(token) for token in lm.model.generate(ids, **given)[0, len(prompt) :]]
    with yapo.steer(lm.model, [one.vector for one, _ in chosen], [m for _, m in chosen], sae=saes(sae)):
        return [int(token) for token in lm.model.generate(ids, **given)[0, len(prompt) :]]


def row(lm: LanguageModel, place: int, prompt: list[int], chosen: Strengths, told: list[Piece], **given: int) -> Row:
    decoding = DecodingOptions(**{"max_tokens": NEW, **given})
    return Row.of(place, prompt, edits_of(chosen), decoding, lm.tokenizer.tokenizer, (), told.append, False)


@torch.inference_mode()
def decoded(lm: LanguageModel, groups: Sequence[Sequence[Row]]) -> None:
    """Decode rows, of which each group joins two steps after the one before."""
    batch = Batch(lm)
    for group in groups:
        batch.admit(group)
        for _ in range(2):
            batch.step()
    while batch.rows:
        batch.step()


def test_rows_get_what_each_gets_alone(lm: LanguageModel, vectors: dict[str, NamedVector], sae: SAE) -> None:
    told: list[Piece] = []
    chosen = [[(vectors[name], m) for name, m in names] for names in ROWS]
    prompts = [PROMPTS[place % len(PROMPTS)] for place in range(len(ROWS))]
    rows = [row(lm, place, prompts[place], one, told) for place, one in enumerate(chosen)]
    decoded(lm, [rows[:4], rows[4:5], rows[5:]])
    made = [one.tokens for one in rows]
    assert made == [plain(lm, prompt, one, sae) for prompt, one in zip(prompts, chosen, strict=True)]
    assert len({tuple(tokens) for tokens in made}) > 5
    assert sorted(piece.row for piece in told if piece.finish == "length") == list(range(len(ROWS)))


def test_a_row_that_nobody_waits_for_is_let_go(lm: LanguageModel) -> None:
    told: list[Piece] = []
    kept, gone = (row(lm, place, PROMPTS[place], [], told) for place in range(2))
    batch = Batch(lm)
    with torch.inference_mode():
        batch.admit([kept, gone])
        gone.cancelled = True
        batch.step()
        assert batch.rows == [kept]
        while batch.rows:
            batch.step()
    assert (len(kept.tokens), len(gone.tokens)) == (NEW, 2)
    assert {piece.row for piece in told[2:]} == {0}


def test_numbers_that_are_not_finite_end_their_row_alone(lm: LanguageModel, vectors: dict[str, NamedVector], sae: SAE) -> None:
    told: list[Piece] = []
    good = [(vectors["dense"], 2.0)]
    rows = [row(lm, place, PROMPTS[0], good, told) for place in range(2)]
    rows[1].edits[0].state.everywhere.fill_(float("nan"))
    decoded(lm, [rows])
    assert rows[0].tokens == plain(lm, PROMPTS[0], good, sae)
    assert [str(piece.error) for piece in told if piece.row == 1] == [NOT_FINITE]


def test_scores_of_a_prompt(lm: LanguageModel, vectors: dict[str, NamedVector], sae: SAE) -> None:
    """Of two rows of different lengths, against one plain pass each; the first place has none."""
    told: list[Piece] = []
    chosen = [(vectors["sparse"], 2.0)]
    rows = [row(lm, place, PROMPTS[place], chosen, told, max_tokens=0, logprobs=2, echo=True) for place in (0, 1)]
    with torch.inference_mode():
        Batch(lm).admit(rows)
    for place in (0, 1):
        ids = torch.tensor([PROMPTS[place]])
        with torch.inference_mode(), yapo.steer(lm.model, vectors["sparse"].vector, 2.0, sae=sae):
            wanted = lm.model(ids).logits[0].float().log_softmax(dim=-1)
        (scored,) = [piece.scored for piece in told if piece.row == place and piece.scored]
        assert [one.token for one in scored] == PROMPTS[place]
        assert (scored[0].logprob, scored[0].top) == (None, ())
        for i, one in enumerate(scored[1:]):
            assert one.logprob == pytest.approx(wanted[i, one.token].item(), abs=1e-4)
            assert [token for token, _ in one.top] == wanted[i].topk(2).indices.tolist()
    assert [piece.finish for piece in told if piece.finish] == ["length", "length"]
