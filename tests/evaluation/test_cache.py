"""Completions kept by content. Weights changed behind the cache's back show what was generated and what was not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.evaluation.plain_decoding import complete
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition, Decoder, Sampling
from yapo.evaluation.options import OptionAnswers
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.pair_batch import TokenOptions

LAYER, NEW = 1, 5
PROMPTS = [[2, 9, 11, 30, 7], [2, 5, 6], [2, 20, 21, 22]]
U = torch.randn(32, generator=torch.Generator().manual_seed(0))
S = torch.randn(64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def lm(gemma: LanguageModel) -> LanguageModel:
    """A model of one's own to change."""
    return LanguageModel(copy.deepcopy(gemma.model), gemma.tokenizer, gemma.source, "digest")


def change_weights(lm: LanguageModel) -> None:
    with torch.no_grad():
        for parameter in lm.model.parameters():
            parameter.mul_(-0.5)


def direct(lm: LanguageModel, conditions: list[Condition], layer: int = LAYER) -> list[list[str]]:
    written = complete(lm, layer, PROMPTS, conditions, NEW)
    return [decoded(lm, completions) for completions in written]


def decoded(lm: LanguageModel, written: list[list[int]]) -> list[str]:
    return [lm.tokenizer.decode(ids) for ids in written]


def open_cache(path: Path, lm: LanguageModel, layer: int = LAYER) -> CompletionCache:
    return CompletionCache(path / "completions.json", lm, layer, batch_size=8)


def test_asked_again_nothing_is_generated(tmp_path: Path, lm: LanguageModel, sae: SAE) -> None:
    conditions = [Condition(), Condition(Dense(32), U), Condition(Sparse(sae), S)]
    expected = direct(lm, conditions)
    cache = open_cache(tmp_path, lm)
    assert cache.complete(PROMPTS, conditions, NEW) == expected
    change_weights(lm)
    assert direct(lm, conditions) != expected
    assert cache.complete(PROMPTS, conditions, NEW) == expected
    cache.save()
    reopened = open_cache(tmp_path, lm)
    assert reopened.complete(PROMPTS, conditions[::-1], NEW) == expected[::-1]


def test_a_changed_vector_generates_itself_alone(tmp_path: Path, lm: LanguageModel) -> None:
    dense = Dense(32)
    first = [Condition(), Condition(dense, U), Condition(dense, 2 * U)]
    before = direct(lm, first)
    cache = open_cache(tmp_path, lm)
    cache.complete(PROMPTS, first, NEW)
    cache.save()
    change_weights(lm)
    second = [Condition(), Condition(dense, U), Condition(dense, 3 * U)]
    after = direct(lm, second)
    assert after[1] != before[1]
    assert open_cache(tmp_path, lm).complete(PROMPTS, second, NEW) == [before[0], before[1], after[2]]


def test_save_drops_what_was_not_asked_for(tmp_path: Path, lm: LanguageModel) -> None:
    dense = Dense(32)
    cache = open_cache(tmp_path, lm)
    cache.complete(PROMPTS, [Condition(), Condition(dense, U)], NEW)
    cache.save()
    both = json.loads((tmp_path / "completions.json").read_text(encoding="utf-8"))
    reopened = open_cache(tmp_path, lm)
    reopened.complete(PROMPTS, [Condition(dense, U)], NEW)
    reopened.save()
    kept = json.loads((tmp_path / "completions.json").read_text(encoding="utf-8"))
    assert len(both) == 2
    assert len(kept) == 1
    assert kept.items() <= both.items()
    assert [path.name for path in tmp_path.iterdir()] == ["completions.json"]


def test_an_error_loses_nothing(tmp_path: Path, lm: LanguageModel) -> None:
    dense = Dense(32)
    with open_cache(tmp_path, lm) as cache:
        expected = cache.complete(PROMPTS, [Condition(dense, U)], NEW)
    with pytest.raises(RuntimeError, match="quota gone"), open_cache(tmp_path, lm) as cache:
        expected += cache.complete(PROMPTS, [Condition()], NEW)
        raise RuntimeError("quota gone")
    change_weights(lm)
    assert open_cache(tmp_path, lm).complete(PROMPTS, [Condition(dense, U), Condition()], NEW) == expected


def test_a_checkpoint_keeps_what_an_earlier_run_made(tmp_path: Path, lm: LanguageModel) -> None:
    """A run that resumes and is interrupted again, before it asked for everything."""
    dense, asked = Dense(32), [Condition(), Condition(Dense(32), U)]
    expected = open_cache(tmp_path, lm).complete(PROMPTS, asked, NEW)
    first = open_cache(tmp_path, lm)
    first.complete(PROMPTS, asked, NEW)
    first.checkpoint()
    second = open_cache(tmp_path, lm)
    second.complete(PROMPTS, [Condition()], NEW)
    second.checkpoint()
    change_weights(lm)
    assert open_cache(tmp_path, lm).complete(PROMPTS, [Condition(), Condition(dense, U)], NEW) == expected


def test_everything_that_decides_a_completion_is_in_its_key(tmp_path: Path, gemma: LanguageModel, sae: SAE) -> None:
    def key(
        lm: LanguageModel = gemma, layer: int = LAYER, prompts: list[list[int]] = PROMPTS, new: int = NEW, **condition: object
    ) -> str:
        cache = open_cache(tmp_path, lm, layer)
        asked = Condition(**({"intervention": Sparse(sae), "u": S} | condition))  # type: ignore[arg-type]
        return cache._key(prompts, asked, new)

    nudged = S.clone()
    nudged[3] = torch.nextafter(nudged[3], torch.tensor(9.0))
    half = LanguageModel(copy.deepcopy(gemma.model).to(torch.bfloat16), gemma.tokenizer, gemma.source, gemma.digest)
    keys = [
        key(),
        key(lm=LanguageModel(gemma.model, gemma.tokenizer, gemma.source, "other weights")),
        key(lm=half),
        key(layer=2),
        key(prompts=PROMPTS[::-1]),
        key(prompts=[[2, 9, 11, 30, 7, 2], [5, 6], [2, 20, 21, 22]]),
        key(new=NEW + 1),
        key(u=nudged),
        key(u=2 * S),
        key(steer_bos=True),
        key(intervention=Sparse(sae, "jumprelu")),
        key(intervention=Sparse(replace(sae, b_enc=sae.b_enc + 1e-3))),
        key(intervention=Dense(64)),
        key(intervention=None, u=None),
    ]
    assert len(set(keys)) == len(keys)
    assert key(intervention=Sparse(sae), u=S.clone()) == keys[0]


def test_samples_are_kept_by_how_they_are_drawn_and_each_condition_is_drawn_alone(tmp_path: Path, lm: LanguageModel) -> None:
    conditions = [Condition(), Condition(Dense(32), U)]
    sampling = Sampling(temperature=2.0, seed=3)
    drawn = [decoded(lm, Decoder(lm, 8).complete(LAYER, PROMPTS, [one], NEW, sampling)[0]) for one in conditions]
    cache = open_cache(tmp_path, lm)
    assert cache.complete(PROMPTS, conditions[1:], NEW, sampling) == drawn[1:]
    assert cache.complete(PROMPTS, conditions, NEW, sampling) == drawn
    others = [Sampling(2.0, 4), Sampling(1.0, 3), None]
    assert all(cache.complete(PROMPTS, conditions, NEW, other) != drawn for other in others)
    change_weights(lm)
    assert cache.complete(PROMPTS, conditions, NEW, sampling) == drawn


def test_ways_to_answer_are_kept_apart(tmp_path: Path, lm: LanguageModel) -> None:
    """A choice among answers has a key of its own, which covers the answers, their lengths and how they are written."""
    cache, questions = open_cache(tmp_path, lm), [TokenOptions(prompt, ([15, 16], [17])) for prompt in PROMPTS]
    asked = [
        (questions, [[1, 1]] * 3, [["a", "b"]] * 3),
        (questions, [[2, 1]] * 3, [["a", "b"]] * 3),
        (questions, [[1, 1]] * 3, [["x", "y"]] * 3),
        ([TokenOptions(prompt, ([15], [16, 17])) for prompt in PROMPTS], [[1, 1]] * 3, [["a", "b"]] * 3),
    ]
    expected = [cache.choose(OptionAnswers(*question), [Condition()]) for question in asked]
    cache.complete(PROMPTS, [Condition()], NEW)
    cache.save()
    assert len(json.loads((tmp_path / "completions.json").read_text(encoding="utf-8"))) == len(asked) + 1
    change_weights(lm)
    reopened = open_cache(tmp_path, lm)
    assert [reopened.choose(OptionAnswers(*question), [Condition()]) for question in asked] == expected


def test_unsteered_completions_serve_every_layer(tmp_path: Path, lm: LanguageModel) -> None:
    cache = open_cache(tmp_path, lm)
    before = cache.complete(PROMPTS, [Condition()], NEW)
    cache.save()
    change_weights(lm)
    assert open_cache(tmp_path, lm, layer=2).complete(PROMPTS, [Condition()], NEW) == before


@pytest.mark.parametrize(
    "damage", [b"", b'{"abc": ["cut of', b"[1, 2]", b"5", b"null", b"\xff\xfe", b'"text"', b'{"a:b": ["\\ud800"]}']
)
def test_a_damaged_file_is_ignored_and_replaced(tmp_path: Path, lm: LanguageModel, damage: bytes) -> None:
    (tmp_path / "completions.json").write_bytes(damage)
    cache = open_cache(tmp_path, lm)
    assert cache.complete(PROMPTS, [Condition()], NEW) == direct(lm, [Condition()])
    cache.save()
    assert list(json.loads((tmp_path / "completions.json").read_bytes()).values()) == direct(lm, [Condition()])


@pytest.mark.parametrize(
    "damage",
    [
        lambda key, texts: {key: [texts[0] + "x", *texts[1:]]},
        lambda key, texts: {key: texts[:-1]},
        lambda key, texts: {key: " ".join(texts)},
        lambda key, _: {key: [3, None, True]},
        lambda key, _: {key: None},
        lambda key, texts: {key.partition(":")[0]: texts},
    ],
)
def test_a_damaged_entry_is_generated_again(
    tmp_path: Path, lm: LanguageModel, damage: Callable[[str, list[str]], dict[str, object]]
) -> None:
    cache = open_cache(tmp_path, lm)
    expected = cache.complete(PROMPTS, [Condition()], NEW)
    cache.save()
    ((key, texts),) = json.loads((tmp_path / "completions.json").read_text(encoding="utf-8")).items()
    (tmp_path / "completions.json").write_text(json.dumps(damage(key, texts)), encoding="utf-8")
    reopened = open_cache(tmp_path, lm)
    assert reopened.kept == {}
    assert reopened.complete(PROMPTS, [Condition()], NEW) == expected


def test_nothing_asked_nothing_kept(tmp_path: Path, lm: LanguageModel) -> None:
    cache = open_cache(tmp_path, lm)
    assert cache.complete(PROMPTS, [], NEW) == []
    cache.save()
    assert json.loads((tmp_path / "completions.json").read_text()) == {}
