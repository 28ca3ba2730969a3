"""Conversations under steering: what the model reads, what is left out, and what a judge's verdicts become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.evaluation.plain_decoding import complete
from yapo.config import JudgeConfig
from yapo.data.questions import ChatQuestion
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges.chat import get_comparer, get_grader
from yapo.models.language_model import LanguageModel
from yapo.steering.interventions import Dense
from yapo.studies.dspa_study.chat import compare_answers, converse, grade_turns

from ...evaluation.judges.endpoint import Endpoint, says

QUESTIONS = [
    ChatQuestion("1", "food", ("What is eaten?", "And drunk?"), ("Beans", "")),
    ChatQuestion("2", "food", ("What is sung?",), ("Songs",)),
    ChatQuestion("3", "", ("What " + "is eaten " * 40, "And drunk?"), ("", "")),
]
LAYER, NEW = 1, 5


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as made:
        yield made


@pytest.fixture
def judge(endpoint: Endpoint, tmp_path: Path) -> JudgeConfig:
    cache = str(tmp_path / "judgements")
    return JudgeConfig(name="openai", model="grader", base_url=endpoint.url, api_key_env="", backoff_s=0.01, cache=cache)


@pytest.fixture
def cache(gemma: LanguageModel, tmp_path: Path) -> CompletionCache:
    return CompletionCache(tmp_path / "completions.json", gemma, LAYER, 8)


@pytest.fixture
def conditions(gemma: LanguageModel) -> list[Condition]:
    u = 5.0 * torch.randn(gemma.d_model, generator=torch.Generator().manual_seed(0))
    return [Condition(), Condition(Dense(gemma.d_model), u)]


def test_the_second_turn_reads_the_models_own_first_answer(
    cache: CompletionCache, conditions: list[Condition], gemma: LanguageModel
) -> None:
    frames = converse(cache, QUESTIONS, conditions, NEW, 90)
    tokenizer = gemma.tokenizer
    for condition, frame in zip(conditions, frames, strict=True):
        first = tokenizer.prompt("What is eaten?")
        answer = tokenizer.decode(complete(gemma, LAYER, [first], [condition], NEW)[0][0])
        # Gemma's template, written out.
        second = [*first, *tokenizer.response(answer), *tokenizer.tokenizer.encode("\n", add_special_tokens=False)]
        second += tokenizer.prompt("And drunk?")[1:]
        assert tokenizer.conversation(["What is eaten?", answer, "And drunk?"]) == second
        then = tokenizer.decode(complete(gemma, LAYER, [second], [condition], NEW)[0][0])
        own = frame[frame["question_id"] == "1"]
        assert own["completion"].tolist() == [answer, then]
        assert own["tokens"].tolist() == [len(tokenizer.response(text)) - 1 for text in (answer, then)]
        assert own["reference"].tolist() == ["Beans", ""]
    assert frames[0]["completion"].tolist() != frames[1]["completion"].tolist()


def test_prompts_over_the_limit_are_not_asked_and_never_cut(cache: CompletionCache, conditions: list[Condition]) -> None:
    (frame,) = converse(cache, QUESTIONS, conditions[:1], NEW, 90)
    assert frame[["question_id", "turn"]].to_numpy().tolist() == [["1", 1], ["1", 2], ["2", 1], ["3", 1], ["3", 2]]
    assert frame["asked"].tolist() == [True, True, True, False, False]
    assert frame.loc[~frame["asked"], "completion"].tolist() == ["", ""]
    assert frame.loc[~frame["asked"], "tokens"].tolist() == [0, 0]
    (frame,) = converse(cache, QUESTIONS[:1], conditions[:1], NEW, len(cache.lm.tokenizer.prompt("What is eaten?")))
    assert frame["asked"].tolist() == [True, False]


def talk(texts: list[str], **more: object) -> pd.DataFrame:
    rows = {"question_id": [str(i) for i in range(len(texts))], "category": "", "turn": 1, "question": "What?"}
    return pd.DataFrame({**rows, "reference": "Beans", "asked": True, "completion": texts, "tokens": 1, **more})


def test_grades_by_an_endpoint(judge: JudgeConfig, endpoint: Endpoint) -> None:
    endpoint.script |= {"Beans": [says('{"grade": 9}')], "Tea": [says('{"grade": 3}')], "Mud": [says("bad"), says("bad")]}
    frame = talk(["Beans", "Tea", "Mud", ""], turn=[1, 2, 1, 1], asked=[True, True, True, False])
    scored = grade_turns(frame, get_grader(judge))
    assert scored["score"].fillna(-1).tolist() == [9.0, 3.0, -1.0, -1.0]
    assert scored["parsed"].tolist() == [True, True, False, False]
    told = {sent.answer: sent.body["messages"][1]["content"] for sent in endpoint.sent}
    assert '"earlier_question": "What?", "earlier_answer": "Beans"' in told["Tea"]
    assert "earlier_question" not in told["Beans"]
    assert set(told) == {"Beans", "Tea", "Mud"}


def test_pairs_are_judged_in_both_orders(judge: JudgeConfig, endpoint: Endpoint) -> None:
    own = ["win", "same", "first", "half", "lost", "mute", ""]
    theirs = [f"not {text}" if text not in ("same", "") else text for text in own]
    verdicts = {
        "win": 1, "not win": 2,  # better wherever it stands
        "first": 1, "not first": 1,  # whichever stands first
        "half": 1, "not half": 0,
        "lost": 2, "not lost": 1,
        "not mute": 2,
    }  # fmt: skip
    endpoint.script |= {text: [says(f'{{"better": {verdict}}}')] for text, verdict in verdicts.items()}
    endpoint.script |= {"mute": [says("?"), says("?")]}
    base = talk(theirs, asked=[True] * 6 + [False], tokens=2)
    rows = compare_answers(talk(own), base, get_comparer(judge))
    assert rows["score"].fillna(-1).tolist() == [1.0, 0.5, 0.5, 0.75, 0.0, -1.0, -1.0]
    assert rows["first"].fillna(-1).tolist() == [0.5, -1.0, 1.0, 0.75, 0.5, -1.0, -1.0]
    assert rows["agree"].fillna(-1).tolist() == [1.0, -1.0, 0.0, 0.0, 1.0, -1.0, -1.0]
    assert rows["asked"].tolist() == [True] * 6 + [False]
    assert rows["parsed"].tolist() == [True] * 5 + [False] * 2
    assert rows["base_tokens"].tolist() == [2] * 7
    assert "same" not in endpoint.asked()


def test_turning_a_pair_around_turns_its_score_around() -> None:
    one, other = talk(["Beans", "Tea", "Beans on toast"]), talk(["Bean", "Soup", "Beans"])
    ahead, behind = (compare_answers(a, b, get_comparer(JudgeConfig())) for a, b in ((one, other), (other, one)))
    np.testing.assert_array_equal(ahead["score"], 1.0 - behind["score"])
    assert ahead["score"].tolist() == [1.0, 1.0, 0.0]  # Tea shares letters with Beans, Soup only its s
