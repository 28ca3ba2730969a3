"""From items and the model's own answers to pairs with their activations."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from yapo.config import GenerationConfig, ModelConfig
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.activations import build_store
from yapo.steering.prepare import TrainingPairs, prepare

from ..data.test_schema import items_table

PROMPTS, GENERATION = PromptFormat(), GenerationConfig(max_new_tokens_mcq=6, max_new_tokens_open_ended=3)


def items() -> pd.DataFrame:
    table = items_table(facts=3)
    return table.assign(split=table["question_id"].map({"f0": "train", "f1": "validation", "f2": "train"}))


def run(
    lm: LanguageModel, sae: SAE, completions: list[str], correct: list[bool], task: str = "mcq", limit: int = 512
) -> TrainingPairs:
    settings = ModelConfig(batch_size=5, max_prompt_tokens=limit)
    return prepare(lm, 1, items(), completions, correct, task, PROMPTS, settings, GENERATION, seed=0, sae=sae)


def test_rows_describe_the_pairs_of_the_store(gemma: LanguageModel, sae: SAE) -> None:
    completions = ["\\boxed{3}", "nonsense", "", *["\\boxed{3}"] * 9]
    prepared = run(gemma, sae, completions, [False] * 12)
    assert prepared.counts == {
        "on_policy": 11, "other_option": 0, "dropped_equal": 0, "dropped_empty": 1, "dropped_long": 0,
    }  # fmt: skip
    table, rows = items().drop(index=2).reset_index(drop=True), prepared.rows
    columns = ["question_id", "variant", "phrasing", "split"]
    pd.testing.assert_frame_equal(rows[columns], table[columns])
    for row, pair in zip(rows.itertuples(), prepared.store.pairs, strict=True):
        assert pair.prompt == gemma.tokenizer.prompt(row.prompt)
        assert pair.chosen == gemma.tokenizer.response(row.chosen)
        assert pair.rejected == gemma.tokenizer.response(row.rejected)[: GENERATION.max_new_tokens_mcq]
    again = build_store(gemma, 1, sae, prepared.store.pairs, 64)
    torch.testing.assert_close(prepared.store.reference, again.reference, rtol=1e-5, atol=1e-5)


def test_a_cut_off_answer_does_not_end_its_turn(gemma: LanguageModel, sae: SAE) -> None:
    """The model stopped because of the limit, so no end-of-turn is counted against it."""
    long = "a b c d e f g h"
    prepared = run(gemma, sae, [long] * 12, [False] * 12, "open_ended")
    assert {tuple(pair.rejected) for pair in prepared.store.pairs} == {tuple(gemma.tokenizer.response(long)[:3])}
    assert gemma.tokenizer.end_of_turn not in prepared.store.pairs[0].rejected


def test_long_prompts_are_left_out_and_counted(gemma: LanguageModel, sae: SAE) -> None:
    lengths = [len(pair.prompt) for pair in run(gemma, sae, ["x"] * 12, [False] * 12).store.pairs]
    limit = sorted(lengths)[5]
    prepared = run(gemma, sae, ["x"] * 12, [False] * 12, limit=limit)
    kept = [length <= limit for length in lengths]
    assert 0 < sum(kept) < 12
    assert prepared.counts["dropped_long"] == kept.count(False)
    assert len(prepared.rows) == len(prepared.store.pairs) == sum(kept)
    assert prepared.rows.index.tolist() == list(range(sum(kept)))
    assert max(len(pair.prompt) for pair in prepared.store.pairs) <= limit


@pytest.mark.parametrize(("completion", "limit"), [("", 512), ("x", 2)])
def test_no_pair_left_is_refused(gemma: LanguageModel, sae: SAE, completion: str, limit: int) -> None:
    with pytest.raises(YapoError, match=r"mcq: no preference pair is left .*raise model.max_prompt_tokens or give more data"):
        run(gemma, sae, [completion] * 12, [False] * 12, limit=limit)
