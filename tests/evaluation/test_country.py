"""One country's evaluation on a tiny random model and a handful of the atlas' questions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.evaluation.plain_decoding import complete
from tests.evaluation.test_divergence import plain
from yapo.config import DataConfig, GenerationConfig, JudgeConfig
from yapo.data.prompts import PromptFormat
from yapo.data.sources import load_items
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import Request, get_judge
from yapo.evaluation.selection import Key, Trial
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.interventions import Dense, Sparse
from yapo.steering.pair_batch import TokenOptions

LAYER = 1
TASKS, SETTINGS = ("mcq", "open_ended"), ("localized", "nonlocalized", "both")
CELLS = [(task, setting) for task in TASKS for setting in SETTINGS]
MULTIPLIERS = [-1.0, 1.0, 2.0]
GENERATION = GenerationConfig(max_new_tokens_mcq=2, max_new_tokens_open_ended=4)


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    """Two validation and three test facts of Egypt, two wordings each, in both forms."""
    atlas = load_items(DataConfig())
    facts = ["breakfast-1", "lunch-2", "dinner-1", "gifts-1", "songs-2"]
    splits = ["validation", "validation", "test", "test", "test"]
    chosen = atlas[(atlas["country"] == "egypt") & atlas["question_id"].isin(facts) & (atlas["phrasing"] < 2)]
    split = pd.DataFrame({"question_id": facts, "split": splits})
    return chosen.merge(split, on="question_id").sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory, gemma: LanguageModel, items: pd.DataFrame) -> Evaluator:
    return make(tmp_path_factory.mktemp("evaluator"), gemma, items)


def make(folder: Path, lm: LanguageModel, items: pd.DataFrame) -> Evaluator:
    cache = CompletionCache(folder / "completions.json", lm, LAYER, batch_size=32)
    return Evaluator(lm, LAYER, items, PromptFormat(), GENERATION, get_judge(JudgeConfig()), cache)


def make_candidates(sae: SAE) -> dict[Key, Candidate]:
    """A dense vector with two epochs and a sparse one with one, for every cell."""
    g = torch.Generator().manual_seed(0)
    dense, sparse = Dense(32), Sparse(sae)
    caa: dict[Key, Candidate] = {("caa", *cell): Candidate(torch.randn(2, 32, generator=g), dense) for cell in CELLS}
    return caa | {("yapo", *cell): Candidate(0.3 * torch.randn(1, 64, generator=g), sparse) for cell in CELLS}


def answers(lm: LanguageModel, items: pd.DataFrame, task: str, condition: Condition) -> list[str]:
    texts = [PromptFormat().prompt(task, q, o) for q, o in zip(items["question"], items["options"], strict=True)]
    ids = [lm.tokenizer.prompt(text) for text in texts]
    written = complete(lm, LAYER, ids, [condition], GENERATION.max_new_tokens(task))[0]
    return [lm.tokenizer.decode(tokens) for tokens in written]


def of(frame: pd.DataFrame, method: str, task: str, setting: str) -> pd.DataFrame:
    own = (frame["method"] == method) & (frame["task"] == task) & (frame["setting"] == setting)
    return frame[own].reset_index(drop=True)


def test_selection_reads_validation_alone(evaluator: Evaluator, items: pd.DataFrame, sae: SAE, tmp_path: Path) -> None:
    chosen, grid = evaluator.select(make_candidates(sae), MULTIPLIERS)
    assert set(chosen) == set(make_candidates(sae))
    assert all(trial.multiplier > 0 for trial in chosen.values())
    sizes = grid.groupby(["method", "task", "setting"]).size()
    assert (sizes["caa"] == 4).all()
    assert (sizes["yapo"] == 3).all()
    assert (grid["n_facts"] == 2).all()
    assert (grid["n"] == grid["setting"].map({"localized": 4, "nonlocalized": 4, "both": 8})).all()
    assert grid["score"].between(0, 10).all()
    doctored = items.copy()
    test = doctored["split"] == "test"
    doctored.loc[test, "question"] = [f"other question {i}" for i in range(test.sum())]
    again, other = make(tmp_path / "other", evaluator.lm, doctored).select(make_candidates(sae), MULTIPLIERS)
    assert again == chosen
    pd.testing.assert_frame_equal(other, grid)


def judged(evaluator: Evaluator, asked: pd.DataFrame, completions: list[str]) -> float:
    """Mean score of open-ended answers."""
    golds = zip(asked["question"], asked["answer"], completions, strict=True)
    scores = [judgement.score for judgement in evaluator.judge.judge([Request(*gold) for gold in golds])]
    return sum(score for score in scores if score is not None) / len(scores)


def with_gold(evaluator: Evaluator, folder: Path, condition: Condition) -> Evaluator:
    """The same evaluation where the right open-ended answers are what ``condition`` says: a random model is never right."""
    said = answers(evaluator.lm, evaluator.items, "open_ended", condition)
    return make(folder, evaluator.lm, evaluator.items.assign(answer=said))


def test_each_point_of_the_grid_is_the_vector_at_that_strength(evaluator: Evaluator, sae: SAE, tmp_path: Path) -> None:
    key: Key = ("yapo", "open_ended", "both")
    candidates = make_candidates(sae)
    candidate = candidates[key]
    evaluator = with_gold(evaluator, tmp_path, candidate.condition(Trial(key, 1, 2.0)))
    chosen, grid = evaluator.select(candidates, MULTIPLIERS)
    assert chosen[key] == Trial(key, 1, 2.0)
    asked = evaluator.items[evaluator.items["split"] == "validation"]
    own = of(grid, *key).set_index("multiplier")["score"]
    assert own[2.0] == pytest.approx(10.0)
    assert own[1.0] < 10.0
    for multiplier, expected in own.items():
        condition = Condition(candidate.intervention, multiplier * candidate.epochs[0])
        completions = answers(evaluator.lm, asked, "open_ended", condition)
        assert expected == pytest.approx(judged(evaluator, asked, completions))


def test_the_divergence_of_a_choice_is_that_of_whole_sequences(evaluator: Evaluator, sae: SAE) -> None:
    candidates = make_candidates(sae)
    free, without = evaluator.select(candidates, MULTIPLIERS)
    chosen, grid = evaluator.select(candidates, MULTIPLIERS, max_kl=1e6)
    assert chosen == free
    pd.testing.assert_frame_equal(grid[without.columns], without)
    key: Key = ("caa", "open_ended", "localized")
    asked = evaluator.items.query("split == 'validation' and variant == 'localized'")
    prompts = evaluator.answerer.token_ids(asked, "open_ended")
    said = answers(evaluator.lm, asked, "open_ended", Condition())
    texts = [TokenOptions(p, (evaluator.lm.tokenizer.response(a),)) for p, a in zip(prompts, said, strict=True)]
    own = of(grid, *key).dropna(subset="divergence")
    assert set(own["multiplier"]) == {1.0, 2.0} and own["epoch"].nunique() == 1
    for row in own.itertuples():
        condition = candidates[key].condition(Trial(key, row.epoch, row.multiplier))
        values = torch.cat([plain(evaluator.lm, text, condition, LAYER) for text in texts])
        assert float(values.quantile(0.95)) == pytest.approx(row.divergence, rel=1e-3)


def test_baseline_on_validation(evaluator: Evaluator, sae: SAE, tmp_path: Path) -> None:
    sure = make_candidates(sae)["caa", "mcq", "both"].condition(Trial(("caa", "mcq", "both"), 1, 0.2))
    evaluator = with_gold(evaluator, tmp_path, sure)
    rows = evaluator.baseline_validation(TASKS, SETTINGS)
    assert [(row.task, row.setting) for row in rows.itertuples()] == CELLS
    assert set(rows["method"]) == {"baseline"}
    assert (rows["multiplier"] == 0).all()
    assert rows["n"].tolist() == [4, 4, 8] * 2
    asked = evaluator.items[evaluator.items["split"] == "validation"]
    expected = judged(evaluator, asked, answers(evaluator.lm, asked, "open_ended", Condition()))
    assert 0 < expected < 10
    assert rows["score"].iloc[-1] == pytest.approx(expected)


CHOSEN_EPOCH = {"caa": 2, "yapo": 1}


def make_chosen(candidates: dict[Key, Candidate]) -> dict[Key, Trial]:
    return {key: Trial(key, CHOSEN_EPOCH[key[0]], 1.5) for key in candidates}


@pytest.fixture(scope="module")
def tested(evaluator: Evaluator, sae: SAE) -> pd.DataFrame:
    candidates = make_candidates(sae)
    return evaluator.test(candidates, make_chosen(candidates), CELLS, seed=0)


def test_every_cell_holds_every_test_item_once(tested: pd.DataFrame, items: pd.DataFrame) -> None:
    methods = {"baseline", "prompt", "random", "caa", "yapo"}
    assert set(tested["method"]) == methods
    counts = tested.groupby(["method", "task", "setting"]).size()
    assert counts.to_dict() == {
        (method, task, setting): 12 if setting == "both" else 6 for method in methods for task, setting in CELLS
    }
    test = items[items["split"] == "test"]
    assert set(tested["question_id"]) == set(test["question_id"])
    keys = ["method", "task", "setting", "question_id", "variant", "phrasing"]
    assert not tested.duplicated(keys).any()
    for setting in ("localized", "nonlocalized"):
        assert set(tested.loc[tested["setting"] == setting, "variant"]) == {setting}
    joined = tested.merge(test, on=["question_id", "variant", "phrasing"], suffixes=("", "_item"))
    assert (joined["answer"] == joined["answer_item"]).all()
    assert (joined["question"] == joined["question_item"]).all()
    by_method = tested.groupby("method")[["multiplier", "epoch"]].agg(["min", "max"])
    assert by_method.loc["caa"].tolist() == [1.5, 1.5, 2, 2]
    assert by_method.loc["yapo"].tolist() == [1.5, 1.5, 1, 1]
    assert by_method.loc["baseline"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_completions_are_those_of_each_condition(
    evaluator: Evaluator, tested: pd.DataFrame, sae: SAE, task: str, setting: str
) -> None:
    candidates = make_candidates(sae)
    conditions = {"baseline": Condition()}
    for method, epoch in CHOSEN_EPOCH.items():
        candidate = candidates[method, task, setting]
        conditions[method] = Condition(candidate.intervention, 1.5 * candidate.epochs[epoch - 1])
    for method, condition in conditions.items():
        cell = of(tested, method, task, setting)
        assert cell["completion"].tolist() == answers(evaluator.lm, cell, task, condition)
    if task == "open_ended":
        assert (
            of(tested, "caa", task, setting)["completion"].tolist()
            != of(tested, "baseline", task, setting)["completion"].tolist()
        )


@pytest.mark.parametrize("task", TASKS)
def test_the_prompt_control_asks_the_localized_question_for_the_item(
    evaluator: Evaluator, tested: pd.DataFrame, items: pd.DataFrame, task: str
) -> None:
    keys = ["question_id", "phrasing"]
    localized = items[items["variant"] == "localized"].set_index(keys)["question"]
    for setting in SETTINGS:
        cell = of(tested, "prompt", task, setting)
        asked = cell.assign(question=localized.loc[pd.MultiIndex.from_frame(cell[keys])].to_numpy())
        assert cell["completion"].tolist() == answers(evaluator.lm, asked, task, Condition())
    own = of(tested, "prompt", task, "nonlocalized")
    unnamed = items[items["variant"] == "nonlocalized"].set_index(keys)["question"]
    assert own["question"].tolist() == unnamed.loc[pd.MultiIndex.from_frame(own[keys])].tolist()
    # On localized items the control is the baseline.
    columns = ["question_id", "phrasing", "completion", "score"]
    pair = [
        of(tested, method, task, "localized")[columns].sort_values(keys, ignore_index=True) for method in ("prompt", "baseline")
    ]
    pd.testing.assert_frame_equal(*pair)


def test_a_question_without_a_localized_form_is_refused(evaluator: Evaluator, items: pd.DataFrame, tmp_path: Path) -> None:
    lone = items[(items["variant"] == "nonlocalized") | (items["question_id"] != "gifts-1")]
    with pytest.raises(YapoError, match=r"^gifts-1, phrasing \d has no localized form, which the prompt control asks"):
        make(tmp_path, evaluator.lm, lone).test({}, {}, [("mcq", "nonlocalized")], seed=0)


def displacement(evaluator: Evaluator, condition: Condition, items: pd.DataFrame, task: str) -> float:
    """Mean norm of h' - h over tokens but BOS, prompt by prompt, from the library's hidden states."""
    assert condition.intervention is not None
    assert condition.u is not None
    lm, norms = evaluator.lm, []
    for question, options in zip(items["question"], items["options"], strict=True):
        ids = torch.tensor([lm.tokenizer.prompt(PromptFormat().prompt(task, question, options))])
        hidden = lm.model(input_ids=ids, output_hidden_states=True).hidden_states[LAYER + 1]
        live = torch.ones(ids.shape, dtype=torch.bool)
        state = condition.intervention.edit_state(condition.u[None])
        edited = condition.intervention.edit(hidden, condition.intervention.codes(hidden), state, torch.tensor([[0]]), live)
        norms.append((edited - hidden)[0, 1:].norm(dim=-1))
    return float(torch.cat(norms).mean())


@pytest.mark.parametrize(("task", "setting"), [("mcq", "both"), ("open_ended", "nonlocalized")])
def test_the_random_control_moves_as_far_as_the_strongest_vector(
    evaluator: Evaluator, items: pd.DataFrame, sae: SAE, task: str, setting: str
) -> None:
    candidates = make_candidates(sae)
    own = {key: trial for key, trial in make_chosen(candidates).items() if key[1:] == (task, setting)}
    control = evaluator._random(candidates, own, task, setting, seed=3)
    asked = items[items["split"] == "validation"]
    asked = asked if setting == "both" else asked[asked["variant"] == setting]
    moved = [displacement(evaluator, candidates[key].condition(trial), asked, task) for key, trial in own.items()]
    assert min(moved) < 0.9 * max(moved)
    assert displacement(evaluator, control, asked, task) == pytest.approx(max(moved), rel=1e-4)
    again = evaluator._random(candidates, own, task, setting, seed=3)
    other = evaluator._random(candidates, own, task, setting, seed=4)
    assert control.u is not None
    assert other.u is not None
    assert again.u is not None
    assert torch.equal(control.u, again.u)
    assert not torch.allclose(control.u, other.u)


def test_the_same_evaluation_twice_gives_the_same_rows(
    evaluator: Evaluator, tested: pd.DataFrame, items: pd.DataFrame, sae: SAE, tmp_path: Path
) -> None:
    candidates = make_candidates(sae)
    fresh = make(tmp_path / "again", evaluator.lm, items).test(candidates, make_chosen(candidates), CELLS, seed=0)
    pd.testing.assert_frame_equal(fresh, tested)
    cached = evaluator.test(candidates, make_chosen(candidates), CELLS, seed=0)
    pd.testing.assert_frame_equal(cached, tested)
