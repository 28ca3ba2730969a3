"""DSPA's studies of one country on the embedded model, from pairs to tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.stages import small_study
from tests.studies.one_country import same_again
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.data.questions import load_questions
from yapo.errors import YapoError
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.judges import get_judge
from yapo.evaluation.judges.chat import grade_by_reference
from yapo.evaluation.judges.rubric import Request
from yapo.evaluation.scoring import Answerer
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages import prepare, train
from yapo.stages.inputs import prompt_format, read_items
from yapo.stages.vectors import VectorReader
from yapo.steering.activations import ActivationStore
from yapo.steering.vector import TrainedVector
from yapo.studies.dspa_study import STUDY
from yapo.studies.dspa_study import chat as dspa_chat
from yapo.studies.dspa_study import report as dspa_study_table
from yapo.studies.dspa_study import run as dspa_study

CHOSEN = 0.5
QUESTIONS = ROOT / "world" / "questions"
OWN = [
    "methods=[caa,yapo,dspa]", "settings=[both]", "country=egypt", "report.resamples=100", "studies.dspa_study.countries=[egypt]",
    "studies.dspa_study.pairs=[3]", "studies.dspa_study.subsets=2", "studies.dspa_study.layers=[1,3]", "dspa.alpha=0.3",
    f"studies.dspa_study.conversations={QUESTIONS / 'mt.jsonl'}",
    f"studies.dspa_study.instructions={QUESTIONS / 'instructions.jsonl'}",
    *(f"studies.dspa_study.changes.{name}=[]" for name in ("k_prompt", "k_diff", "percentile", "normalise", "sparsify", "demix")),
    "studies.dspa_study.changes.alpha=[0.6]", "studies.dspa_study.changes.mode=[augment]",
]  # fmt: skip
STEPS = [
    ("setting", "", 0), ("pairs", "3", 0), ("pairs", "3", 1), ("alpha", "0.6", 0), ("mode", "augment", 0),
    ("layers", "1 to 1", 0), ("layers", "3 to 3", 0),
]  # fmt: skip


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study with pairs, activations and DSPA's vectors, whose λ is made up."""
    folder = tmp_path_factory.mktemp("dspa") / "results"
    made = [*small_study.make(folder, ("egypt",), {"train": 2, "validation": 1, "test": 1}, ("both",)), *OWN]
    config = compose([*made, "method=dspa"])
    paths = Paths.of(config)
    prepare.main(config)
    train.main(config)
    for task in config.tasks:
        trained = TrainedVector.load(paths.trained("arabic", "egypt", "dspa") / f"{task}-both.safetensors")
        trained.chosen(1, CHOSEN).save(paths.vector("arabic", "egypt", "dspa", task, "both"))
    return made


@pytest.fixture(scope="module")
def paths(overrides: list[str]) -> Paths:
    config = compose([*overrides, "method=dspa"])
    dspa_study.main(config)
    dspa_chat.main(compose(overrides))
    dspa_study_table.main(config)
    return Paths.of(config)


def read(paths: Paths, name: str) -> pd.DataFrame:
    return pd.read_parquet(paths.study_rows(name, "arabic", "egypt"))


def test_one_row_per_validation_item_variant_and_strength(paths: Paths, overrides: list[str]) -> None:
    rows, items = read(paths, "dspa_study"), read_items(compose(overrides), "egypt")
    asked = int((items["split"] == "validation").sum())
    steered = rows[rows["method"] == "dspa"]
    assert list(dict.fromkeys(zip(steered["change"], steered["value"], steered["draw"], strict=True))) == STEPS
    counts = rows.groupby(["task", "strength", "method", "change", "value", "draw"]).size()
    assert set(counts) == {asked} and len(counts) == 2 * 2 * (len(STEPS) + 1)
    assert set(rows["question_id"]) == set(items.loc[items["split"] == "validation", "question_id"])
    alphas = steered.groupby(["change", "strength"])["alpha"].first()
    assert alphas[("setting", "one")] == 0.3 and alphas[("alpha", "chosen")] == pytest.approx(0.6 * CHOSEN)
    pairs = steered.groupby("change")["pairs"].first()
    assert pairs["pairs"] == 3 < pairs["setting"]


def test_the_setting_is_the_experiments_own_vector(paths: Paths, overrides: list[str], tmp_path: Path) -> None:
    """Answers under the map fitted here are those under the map that the stage train left."""
    config = compose(overrides)
    lm = load_language_model(config.model)
    reader = VectorReader(config, lm, small_study.LAYER)
    cache = CompletionCache(tmp_path / "completions.json", lm, small_study.LAYER, config.model.batch_size)
    answerer = Answerer(prompt_format(config), config.generation, cache, get_judge(config.judge))
    items = read_items(config, "egypt")
    rows = read(paths, "dspa_study")
    for task in config.tasks:
        vector = reader.read("arabic", "egypt", "dspa", task, "both")
        for strength, multiplier in (("one", 1.0), ("chosen", CHOSEN)):
            (answers,) = answerer.ask(items[items["split"] == "validation"], task, [vector.at(multiplier)])
            own = rows[(rows["task"] == task) & (rows["strength"] == strength) & (rows["change"] == "setting")]
            assert own["score"].tolist() == answers["score"].tolist()


def test_costs_are_those_of_the_training_pairs(paths: Paths) -> None:
    costs = read(paths, "dspa_flops")
    for task in ("mcq", "open_ended"):
        own = costs[costs["task"] == task]
        flops = dict(zip(own["quantity"], own["flops"], strict=True))
        assert flops["run"] == flops["measured"] > flops["linear"] > 0
        store, _ = ActivationStore.load(paths.store("arabic", "egypt", task))
        rows = pd.read_parquet(paths.pairs("arabic", "egypt", task))
        pairs = [pair for pair, split in zip(store.pairs, rows["split"], strict=True) if split == "train"]
        tokens = sum(3 * len(pair.prompt) + len(pair.chosen) + len(pair.rejected) for pair in pairs)
        assert flops["three_passes"] == 2 * own["parameters"].iloc[0] * tokens


def test_conversations_of_every_method(paths: Paths) -> None:
    rows = read(paths, "dspa_chat")
    conversations = load_questions(QUESTIONS / "mt.jsonl", "key")
    grades = rows[rows["kind"] == "grade"]
    assert grades.groupby(["method", "turn"]).size().to_dict() == {
        (method, turn): len(conversations) for method in ("baseline", "caa", "yapo", "dspa") for turn in (1, 2)
    }
    pairs = rows[rows["kind"] == "pair"]
    assert pairs.groupby("method").size().to_dict() == dict.fromkeys(("caa", "yapo", "dspa"), 24)
    assert rows["asked"].all() and rows["parsed"].all()
    for row in grades.head(40).to_dict("records"):
        assert row["score"] == grade_by_reference(Request(row["question"], row["reference"], row["completion"]))
    same = pairs["completion"] == pairs["base_completion"]
    assert (pairs.loc[same, "score"] == 0.5).all() and pairs.loc[same, "agree"].isna().all()
    assert rows.groupby("method")["multiplier"].first().to_dict() == {"baseline": 0.0, "caa": 0.5, "yapo": 0.5, "dspa": CHOSEN}
    asked = json.loads(paths.study_rows("dspa_chat", "arabic", "egypt").with_suffix(".json").read_text())
    assert asked["grades"]["answers"] == len(grades)
    assert asked["pairs"]["answers"] == 2 * int((~same).sum())


def test_tables_figure_and_finding(paths: Paths, overrides: list[str]) -> None:
    assert all((paths.root / file).stat().st_size for file in STUDY.file_names(compose(overrides)))
    text = (paths.root / "tables" / "dspa_study.md").read_text()
    assert "| 0.3 (the setting) |" in text and "| 1 to 3 (the setting) |" in text
    assert (paths.root / "figures" / "dspa_study.png").read_bytes().startswith(b"\x89PNG")
    finding = json.loads(paths.finding("dspa_study").read_text())
    assert (finding["name"], finding["figures"]) == ("dspa_study", ["dspa_study"])
    assert "of the operations that the paper's accounting gives" in finding["reading"]


def test_again_gives_the_same_bytes(paths: Paths, overrides: list[str]) -> None:
    path = paths.study_rows("dspa_chat", "arabic", "egypt")
    same_again(dspa_chat.main, compose(overrides), path)


def test_what_cannot_be_studied_is_refused(overrides: list[str]) -> None:
    for change, said in (
        ("methods=[caa,yapo]", r"methods=dspa: unknown method"),
        ("studies.dspa_study.setting=localized", r"studies.dspa_study.setting=localized: unknown setting"),
    ):
        with pytest.raises(YapoError, match=said):
            dspa_study.main(compose([*overrides, "method=dspa", change]))
    with pytest.raises(YapoError, match=r"^studies.dspa_study.instructions=nowhere.jsonl: .*no such file"):
        dspa_chat.main(compose([*overrides, "studies.dspa_study.instructions=nowhere.jsonl"]))
