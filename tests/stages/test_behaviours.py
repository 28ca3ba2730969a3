"""The stages of the behaviours study, one after another, on a few questions and the shipped assistant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from yapo.config import Config
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.reporting.finding import Finding
from yapo.stages import train
from yapo.stages.app import ROOT, compose
from yapo.stages.study import Study
from yapo.steering.vector import SteeringVector
from yapo.studies.behaviours import evaluate as behaviour_evaluate
from yapo.studies.behaviours import prepare as behaviour_prepare
from yapo.studies.behaviours import report as behaviours_table

SHIPPED = ROOT / "world" / "behaviours" / "jailbreak"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Twenty training and six test questions, one of them in both files; one epoch of YaPO."""
    folder = tmp_path_factory.mktemp("behaviours")
    (folder / "files" / "jailbreak").mkdir(parents=True)
    test = pd.read_csv(SHIPPED / "test.csv").head(6)
    learned = pd.concat([pd.read_csv(SHIPPED / "train.csv").head(20), test.head(1)])
    learned.to_csv(folder / "files" / "jailbreak" / "train.csv", index=False)
    test.to_csv(folder / "files" / "jailbreak" / "test.csv", index=False)
    return compose(
        [
            "data=preferences",
            f"data.path={folder / 'files'}",
            f"model.path={ROOT / 'world/assistant/model'}",
            f"sae.path={ROOT / 'world/assistant/sae/layer_LAYER'}",
            "discovery.layer=2",
            f"results={folder / 'results'}",
            "country=jailbreak",
            "methods=[yapo]",
            "tasks=[open_ended]",
            "settings=[both]",
            "train.epochs=1",
            "train.lr=0.02",
            "studies.behaviours.multipliers=[1.0]",
            "report.resamples=100",
        ]
    )


@pytest.fixture(scope="module")
def rows(config: Config) -> pd.DataFrame:
    """Test answers, after all stages have run."""
    for stage in (behaviour_prepare, train, behaviour_evaluate, behaviours_table):
        stage.main(config)
    return pd.read_parquet(Study.of(config).evaluation("behaviours", "jailbreak"))


def test_every_condition_answers_every_test_question(rows: pd.DataFrame) -> None:
    counts = rows.groupby(["method", "direction"])["question_id"].nunique().to_dict()
    assert counts == {("baseline", 0): 6, ("random", 1): 6, ("random", -1): 6, ("yapo", 1): 6, ("yapo", -1): 6}
    assert rows["score"].between(1, 4).all()
    ends = rows[rows["method"] == "yapo"].groupby("direction")["multiplier"].unique()
    assert (ends[1].tolist(), ends[-1].tolist()) == ([1.0], [-1.0])


def test_what_was_left_out_is_said(config: Config, rows: pd.DataFrame) -> None:  # noqa: ARG001
    report = read_json(Study.of(config).country("behaviours", "jailbreak") / "pairs" / "open_ended.json")
    assert report["train_questions_also_in_test"] == 1
    assert report["dropped_long"] == 0
    assert report["autoencoder"]["explained_variance"] > 0.5


def test_the_vector_says_what_it_is_for(config: Config, rows: pd.DataFrame) -> None:  # noqa: ARG001
    vector = SteeringVector.load(Study.of(config).vector("behaviours", "jailbreak", "yapo", "open_ended", "both"))
    assert (vector.info.layer, vector.info.multiplier, vector.info.extra["country"]) == (2, 1.0, "jailbreak")
    assert vector.values.any()


def test_the_report_gets_its_part(config: Config, rows: pd.DataFrame) -> None:  # noqa: ARG001
    study = Study.of(config)
    finding = Finding.load(study.finding("behaviours"))
    assert finding.reading.startswith("Jailbreak: YaPO has the widest range")
    assert "over 6 questions" in finding.reading
    own = ROOT / "world" / "assistant"
    assert finding.made == (
        f"model {own / 'model'}, float32; autoencoder {own / 'sae/layer_2'}; layer 2 (0-based); "
        "1 epoch of batches of 4, β = 0.1; learning rates: YaPO 0.02."
    )
    assert "Refusals (%)" in (study.root / "tables" / "behaviours.md").read_text(encoding="utf-8")
    assert (study.root / "figures" / "behaviours.svg").stat().st_size > 0


def test_prompts_that_are_all_too_long(config: Config, tmp_path: Path) -> None:
    short = replace(config, results=str(tmp_path), model=replace(config.model, max_prompt_tokens=2))
    with pytest.raises(YapoError, match=r"jailbreak: all \d+ prompts are longer than model.max_prompt_tokens"):
        behaviour_prepare.main(short)
    assert not list(tmp_path.rglob("*.parquet"))
