"""Asking items under conditions: the completions of each condition, scored against each item."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch

from tests.evaluation import plain_likelihood
from tests.evaluation.plain_decoding import complete
from yapo.checks import Task
from yapo.config import DataConfig, GenerationConfig, JudgeConfig
from yapo.config.evaluation import LikelihoodConfig, McqMetric
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.evaluation.options import OptionAnswers
from yapo.evaluation.scoring import Answerer, score
from yapo.models.language_model import LanguageModel
from yapo.steering.interventions import Dense
from yapo.steering.pair_batch import TokenOptions

LAYER = 1
GENERATION = GenerationConfig(max_new_tokens_mcq=2, max_new_tokens_open_ended=4)


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_each_condition_scored_on_every_item(gemma: LanguageModel, tmp_path: Path, task: str) -> None:
    items = load_items(DataConfig())
    items = items[
        (items["country"] == "egypt") & items["question_id"].isin(["breakfast-1", "dinner-1"]) & (items["phrasing"] < 1)
    ]
    cache = CompletionCache(tmp_path / "c.json", gemma, LAYER, 8)
    answerer = Answerer(PromptFormat(), GENERATION, cache, get_judge(JudgeConfig()))
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


@pytest.mark.parametrize(("form", "metric"), [("number", "acc"), ("text", "acc"), ("text", "acc_norm"), ("text", "acc_bytes")])
def test_the_likeliest_option_in_the_words_of_a_boxed_answer(
    gemma: LanguageModel, tmp_path: Path, form: Literal["number", "text"], metric: McqMetric
) -> None:
    items = load_items(DataConfig())
    items = items[(items["country"] == "egypt") & (items["question_id"] == "breakfast-1") & (items["phrasing"] < 2)]
    generation = GenerationConfig(mcq=["likelihood"], likelihood=LikelihoodConfig(form, metric))
    prompts, cache = PromptFormat(), CompletionCache(tmp_path / "c.json", gemma, LAYER, 8)
    answerer = Answerer(prompts, generation, cache, get_judge(JudgeConfig()))
    conditions = [Condition(), Condition(Dense(32), 3 * torch.randn(32, generator=torch.Generator().manual_seed(0)))]
    frames = answerer.ask(items, "mcq", conditions)
    task: Task = "mcq" if form == "number" else "open_ended"
    for frame, condition in zip(frames, conditions, strict=True):
        for row in frame.itertuples():
            texts = [prompts.answer(task, row.options, k) for k in range(len(row.options))]
            prompt = gemma.tokenizer.prompt(prompts.prompt(task, row.question, row.options))
            asked = TokenOptions(prompt, tuple(gemma.tokenizer.response(text)[:-1] for text in texts))
            ((measured,),) = plain_likelihood.answer_log_probs(gemma, LAYER, [asked], [condition])
            per = [{"acc": 1, "acc_norm": len(text), "acc_bytes": len(text.encode("utf-8"))}[metric] for text in texts]
            best = max(range(len(texts)), key=lambda k, measured=measured, per=per: measured[k] / per[k])
            assert row.completion == f"\\boxed{{{best + 1}}}"
            assert (row.parsed, row.score) == (True, float(best == row.answer_index))


def test_equally_likely_options_give_the_first(gemma: LanguageModel) -> None:
    def choose(lengths: list[int]) -> str:
        question = TokenOptions([2, 9, 8], ([21, 22], [21, 22], [21, 22]))
        return OptionAnswers([question], [lengths], [["a", "b", "c"]]).choose(gemma, LAYER, [Condition()], 8)[0][0]

    assert [choose(lengths) for lengths in ([1, 1, 1], [2, 1, 1], [1, 2, 2])] == ["a", "a", "b"]
