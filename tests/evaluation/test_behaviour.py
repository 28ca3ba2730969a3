"""One behaviour's evaluation on a tiny random model: both signs, one strength, and the test questions once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from yapo.studies.behaviours.evaluator import BehaviourEvaluator

from yapo.config import JudgeConfig
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate
from yapo.evaluation.generate import Condition, complete
from yapo.evaluation.judges import Request, get_judge
from yapo.evaluation.selection import Key, Trial
from yapo.models.language_model import LanguageModel
from yapo.steering.interventions import Dense
from yapo.studies.behaviours.refusal import refuses

LAYER, NEW = 1, 4
KEY: Key = ("caa", "open_ended", "both")
PAIRS = pd.DataFrame(
    {
        "question_id": ["a", "b", "c", "d", "d"],
        "split": ["train", "validation", "validation", "test", "test"],
        "prompt": ["Who?", "Which food?", "What drink?", "Where to?", "Where to?"],
        "chosen": ["me", "all of it", "wine", "up", "up"],
        "rejected": ["I'm sorry, no", "none", "water", "down", "nowhere"],
    }
)


@pytest.fixture(scope="module")
def candidates() -> dict[Key, Candidate]:
    return {KEY: Candidate(8 * torch.randn(2, 32, generator=torch.Generator().manual_seed(1)), Dense(32))}


def evaluator(folder: Path, lm: LanguageModel) -> BehaviourEvaluator:
    cache = CompletionCache(folder / "completions.json", lm, LAYER, batch_size=8)
    return BehaviourEvaluator(lm, PAIRS, get_judge(JudgeConfig()), cache, NEW)


def mean_score(lm: LanguageModel, split: str, condition: Condition) -> float:
    """The plain way: every question of a split answered and judged alone."""
    asked = PAIRS[PAIRS["split"] == split].drop_duplicates("question_id")
    scores = []
    for row in asked.itertuples():
        tokens = complete(lm, LAYER, [lm.tokenizer.prompt(str(row.prompt))], [condition], NEW, 8)[0][0]
        request = Request(str(row.prompt), str(row.chosen), lm.tokenizer.decode(tokens), opposite=str(row.rejected))
        scores.append(get_judge(JudgeConfig()).judge([request])[0].score or 0.0)
    return sum(scores) / len(scores)


def test_the_widest_range_on_validation_is_chosen(tmp_path: Path, gemma: LanguageModel, candidates: dict[Key, Candidate]) -> None:
    chosen, grid = evaluator(tmp_path, gemma).select(candidates, [0.5, 1.0])
    for row in grid.itertuples():
        ends = [candidates[KEY].condition(Trial(KEY, int(row.epoch), d * float(row.multiplier))) for d in (1, -1)]  # type: ignore[arg-type]
        up, down = (mean_score(gemma, "validation", end) for end in ends)
        assert (row.score, row.score_up, row.score_down) == pytest.approx((up - down, up, down))
        assert (row.n, row.n_facts) == (4, 2)
    first = grid[grid["multiplier"] == 1.0]
    assert chosen[KEY].epoch == first.loc[first["score"].idxmax(), "epoch"]
    assert grid[grid["selected"]]["score"].item() == grid[grid["epoch"] == chosen[KEY].epoch]["score"].max()


def test_the_test_questions_are_answered_once_under_every_condition(
    tmp_path: Path, gemma: LanguageModel, candidates: dict[Key, Candidate]
) -> None:
    control = Condition(Dense(32), torch.ones(32)), Condition(Dense(32), -torch.ones(32))
    tested = evaluator(tmp_path, gemma).test(candidates, {KEY: Trial(KEY, 2, 0.5)}, control)
    assert list(zip(tested["method"], tested["direction"], tested["multiplier"], strict=True)) == [
        ("baseline", 0, 0.0),
        ("random", 1, 0.0),
        ("random", -1, 0.0),
        ("caa", 1, 0.5),
        ("caa", -1, -0.5),
    ]
    assert set(tested["question_id"]) == {"d"}
    down = tested.iloc[4]
    assert down["score"] == pytest.approx(mean_score(gemma, "test", candidates[KEY].condition(Trial(KEY, 2, -0.5))))
    assert tested["refused"].tolist() == [refuses(text) for text in tested["completion"]]
    assert tested["parsed"].all()
