"""Asking items under conditions: the completions of each condition, scored against each item."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.evaluation.plain_decoding import complete
from yapo.config import DataConfig, GenerationConfig, JudgeConfig
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.evaluation.scoring import Answerer, score
from yapo.models.language_model import LanguageModel
from yapo.steering.interventions import Dense

LAYER = 1
GENERATION = GenerationConfig(max_new_tokens_mcq=2, max_new_tokens_open_ended=4)


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_each_condition_scored_on_every_item(gemma: LanguageModel, tmp_path: Path, task: str) -> None:
    items = load_items(DataConfig())
    items = items[
        (items["country"] == "egypt") & items["question_id"].isin(["breakfast-1", "dinner-1"]) & (items["phrasing"] < 1)
    ]
    answerer = Answerer(
        PromptFormat(), GENERATION, get_judge(JudgeConfig()), CompletionCache(tmp_path / "c.json", gemma, LAYER, 8)
    )
    conditions = [Condition(), Condition(Dense(32), 3 * torch.randn(32, generator=torch.Generator().manual_seed(0)))]
    frames = answerer.ask(items, task, conditions)
    ids = answerer.token_ids(items, task)
    assert ids[0] == gemma.tokenizer.prompt(PromptFormat().prompt(task, items["question"].iloc[0], items["options"].iloc[0]))
    assert frames[0]["completion"].tolist() != frames[1]["completion"].tolist()
    for frame, condition in zip(frames, conditions, strict=True):
        written = complete(gemma, LAYER, ids, [condition], GENERATION.max_new_tokens(task))[0]
        texts = [gemma.tokenizer.decode(tokens) for tokens in written]
        expected = score(items.reset_index(drop=True), texts, task, answerer.judge)
        pd.testing.assert_frame_equal(frame[expected.columns.tolist()], expected)
        assert frame["question"].tolist() == items["question"].tolist()
