"""The λ sweep of one country on the embedded model, with made-up vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.stages import small_study
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.evaluation.generate import Condition, complete
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.stages.app import compose
from yapo.stages.study import Study
from yapo.steering.interventions import Dense
from yapo.steering.vector import SteeringVector
from yapo.studies.lambda_sweep import report as lambda_sweep_table
from yapo.studies.lambda_sweep import run as lambda_sweep
from yapo.studies.lambda_sweep.coherence import coherence

GRID = [-1.0, 0.0, 1.0]
FACTS = {"train": 1, "validation": 2, "test": 1}


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sweep") / "results"
    made = small_study.make(folder, ("egypt",), FACTS, ("nonlocalized",))
    own = ["tasks=[open_ended]", "studies.lambda_sweep.countries=[egypt]", "studies.lambda_sweep.settings=[nonlocalized]"]
    return [*made, *own, f"studies.lambda_sweep.multipliers={GRID}", "report.resamples=100"]


@pytest.fixture(scope="module")
def rows(overrides: list[str]) -> pd.DataFrame:
    config = compose([*overrides, "country=egypt"])
    lambda_sweep.main(config)
    return pd.read_parquet(Study.of(config).of_study("lambda_sweep", "arabic", "egypt"))


@pytest.fixture(scope="module")
def lm(overrides: list[str]) -> LanguageModel:
    return load_language_model(compose(overrides).model)


def test_one_row_per_validation_item_and_point(rows: pd.DataFrame, overrides: list[str]) -> None:
    split = pd.read_parquet(Study.of(compose(overrides)).split).set_index("question_id")["split"]
    assert set(rows["question_id"].map(split)) == {"validation"}
    points = {(method, m) for method in ("caa", "yapo", "random") for m in (-1.0, 1.0)} | {("baseline", 0.0)}
    for _, cell in rows.groupby(["task", "variant"]):
        assert set(zip(cell["method"], cell["multiplier"], strict=True)) == points
        assert cell.groupby(["method", "multiplier"]).size().unique().tolist() == [4]
    assert not rows.duplicated(["task", "variant", "method", "multiplier", "question_id", "phrasing"]).any()


def test_random_moves_as_far_as_the_strongest_vector_at_1(rows: pd.DataFrame) -> None:
    moved = rows.groupby(["task", "method", "multiplier", "variant"])["displacement"].first().groupby(level=[0, 1, 2]).mean()
    for task in ("open_ended",):
        strongest = max(moved[task, method, 1.0] for method in ("caa", "yapo"))
        assert moved[task, "random", 1.0] == pytest.approx(strongest, rel=1e-4)
        assert moved[task, "random", -1.0] == pytest.approx(strongest, rel=1e-4)
        assert moved[task, "baseline", 0.0] == 0


def test_answers_are_those_of_the_vector_at_that_strength(rows: pd.DataFrame, overrides: list[str], lm: LanguageModel) -> None:
    study = Study.of(compose(overrides))
    vector = SteeringVector.load(study.vector("arabic", "egypt", "caa", "open_ended", "nonlocalized"))
    items = pd.read_parquet(study.items)
    for multiplier in (-1.0, 1.0):
        chosen = (rows["method"] == "caa") & (rows["multiplier"] == multiplier)
        own = rows[chosen & (rows["task"] == "open_ended") & (rows["variant"] == "localized")]
        asked = own.merge(items, on=["question_id", "country", "variant", "phrasing"], how="left")
        ids = [lm.tokenizer.prompt(PromptFormat().prompt("open_ended", q, [])) for q in asked["question"]]
        condition = Condition(Dense(lm.d_model), multiplier * vector.values)
        texts = [lm.tokenizer.decode(t) for t in complete(lm, small_study.LAYER, ids, [condition], 24, 8)[0]]
        found = coherence(lm, ids, texts, 8)
        assert own["log_prob"].tolist() == pytest.approx(found["log_prob"].tolist(), abs=1e-5)
        assert own["repeated"].tolist() == found["repeated"].tolist()
        right = coherence(lm, ids, asked["answer"].tolist(), 8)["log_prob"]
        assert own["gold_log_prob"].tolist() == pytest.approx(right.tolist(), abs=1e-5)


def test_again_gives_the_same_bytes(rows: pd.DataFrame, overrides: list[str]) -> None:
    config = compose([*overrides, "country=egypt"])
    path = Study.of(config).of_study("lambda_sweep", "arabic", "egypt")
    before = path.read_bytes()
    assert len(rows)
    lambda_sweep.main(config)
    assert path.read_bytes() == before


def test_table_figures_and_finding(rows: pd.DataFrame, overrides: list[str]) -> None:
    assert len(rows)
    config = compose(overrides)
    lambda_sweep_table.main(config)
    root = Study.of(config).root
    assert {path.suffix for path in (root / "tables").glob("lambda_sweep.*")} == {".csv", ".md", ".tex", ".html"}
    finding = json.loads((root / "studies" / "lambda_sweep.json").read_text())
    assert finding["figures"] == ["lambda_sweep_nonlocalized", "lambda_sweep_nonlocalized_displacement"]
    for name in finding["figures"]:
        assert all((root / "figures" / f"{name}.{kind}").stat().st_size > 5000 for kind in ("svg", "png"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (["country=morocco"], "morocco has no vector by caa yet; run the stage evaluate for country=morocco first"),
        (["settings=[localized]"], "^studies.lambda_sweep.settings=nonlocalized: unknown setting .*choose among localized"),
    ],
)
def test_missing_vectors_are_named(overrides: list[str], override: list[str], message: str) -> None:
    with pytest.raises(YapoError, match=message):
        lambda_sweep.main(compose([*overrides, *override]))


def test_a_sweep_of_none_of_the_experiments_countries(overrides: list[str], tmp_path: Path) -> None:
    config = compose([*overrides, "studies.lambda_sweep.countries=[nepal]", f"results={tmp_path}"])
    with pytest.raises(YapoError, match=r"^studies.lambda_sweep.countries=\['nepal'\]: none of them is in this experiment"):
        lambda_sweep_table.main(config)
