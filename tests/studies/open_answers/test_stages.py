"""The study of one country on the embedded model: samples, judges, report, sheet; the second time nothing differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.judges.endpoint import Endpoint, Response, grades, parts_of, says
from tests.refusals import contents, refused
from tests.stages import small_study
from yapo.config.compose import compose
from yapo.evaluation.decoding import Condition, Decoder, Sampling
from yapo.evaluation.judges.axbench import PARTS
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.reporting.tables import SUFFIXES
from yapo.stages.inputs import prompt_format, read_items
from yapo.studies.country_job import CountryJob
from yapo.studies.open_answers import SHEET, STUDY, export_sheet, report, run
from yapo.studies.open_answers.second_judge import second_judge

FACTS = {"train": 1, "validation": 1, "test": 3}
MUTE = "طبعا"  # an endpoint that says nothing readable of answers that begin so


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("open_answers") / "results"
    made = small_study.make(folder, ("egypt",), FACTS, ("nonlocalized",))
    return [*made, "country=egypt", "report.resamples=100", "studies.open_answers.samples=3"]


@pytest.fixture(scope="module")
def rows(overrides: list[str]) -> pd.DataFrame:
    config = compose(overrides)
    run.main(config)
    return pd.read_parquet(Paths.of(config).study_rows("open_answers", "arabic", "egypt"))


def outputs(root: Path) -> dict[str, str]:
    return {
        name: value for name, value in contents(root).items() if name.startswith(("tables/open", "figures/open", "studies/open"))
    }


def reply(answer: str) -> Response:
    """Grades that suit every rubric of the study."""
    if answer.startswith(MUTE):
        return says("no")
    parts = {part: hashlib.sha256(f"{part} {answer}".encode()).digest()[0] % 3 for part in PARTS}
    return grades({**parts_of(answer), **parts})


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Endpoint(reply=reply) as server:
        yield server


def judged_by(endpoint: Endpoint, tmp_path: Path) -> list[str]:
    return [
        "judge=openai", f"judge.base_url={endpoint.url}", "judge.api_key_env=", "judge.model=grader", f"judge.cache={tmp_path}",
        "judge.response_format=json_object",
    ]  # fmt: skip


def test_every_condition_answers_every_question_so_often(rows: pd.DataFrame) -> None:
    assert set(rows["method"]) == {"baseline", "prompt", "random", "caa", "yapo"}
    assert set(rows["variant"]) == {"nonlocalized"}
    assert (rows.groupby(["method", "question_id", "phrasing"]).size() == 3).all()
    assert rows.groupby("method")["question_id"].nunique().tolist() == [3] * 5
    assert (rows["judged"] == (rows["sample"] == 0)).all()
    assert rows.loc[rows["judged"], "score"].notna().all() and rows.loc[~rows["judged"], "score"].isna().all()
    assert rows[["second_score", *PARTS]].isna().all(axis=None)


def test_samples_are_those_of_the_engine_and_differ(rows: pd.DataFrame, overrides: list[str]) -> None:
    config = compose(overrides)
    lm, study = load_language_model(config.model), config.studies.open_answers
    items = read_items(config, "egypt").query("split == 'test'")
    form = prompt_format(config)
    for method, variant in (("baseline", "nonlocalized"), ("prompt", "localized")):
        asked = items[items["variant"] == variant]
        prompts = [lm.tokenizer.prompt(text) for text in form.prompts("open_ended", asked)] * study.samples
        limit, sampling = config.generation.max_new_tokens("open_ended"), Sampling(study.temperature, study.seed)
        written = Decoder(lm, 4).complete(small_study.LAYER, prompts, [Condition()], limit, sampling)[0]
        mine = rows[rows["method"] == method]
        assert mine["completion"].tolist() == [lm.tokenizer.decode(ids) for ids in written]
    assert rows.groupby(["method", "question_id", "phrasing"])["completion"].nunique().max() > 1


def test_answers_do_not_depend_on_the_other_methods(rows: pd.DataFrame, overrides: list[str]) -> None:
    config = compose([*overrides, "methods=[yapo]"])
    found = run.sampled_answers(CountryJob.open(config))
    alone = found.loc[found["method"] == "yapo", "completion"]
    assert alone.tolist() == rows.loc[rows["method"] == "yapo", "completion"].tolist()


def test_the_report_of_the_offline_reference(rows: pd.DataFrame, overrides: list[str]) -> None:
    config = compose(overrides)
    root = Paths.of(config).root
    report.main(config)
    first = outputs(root)
    assert set(first) == {*STUDY.file_names(config), "studies/open_answers.json"}
    finding = json.loads((root / "studies/open_answers.json").read_text(encoding="utf-8"))
    assert finding["tables"] == ["open_answers"]
    assert "Reference answers that name an own caricature: Egypt 0.0%." in (root / "tables/open_answers.md").read_text("utf-8")
    assert "Likeness of the samples" in finding["reading"]
    text = (root / "tables/open_answers.md").read_text(encoding="utf-8")
    for said in (finding["reading"], text):
        assert said.count("Concept, instruct and fluency were not graded") == 1
    assert f"n = {len(rows)}" not in text and "| Baseline |" in text
    numbers = pd.read_csv(root / "tables/open_answers.csv").set_index(["country", "method", "measure"])
    assert numbers.loc[("egypt", "baseline", "self_chrf"), "n"] == len(rows) / 5 / 3
    run.main(config)
    report.main(config)
    assert outputs(root) == first


def test_two_judges_and_their_agreement(rows: pd.DataFrame, overrides: list[str], endpoint: Endpoint, tmp_path: Path) -> None:
    config = compose([*overrides, *judged_by(endpoint, tmp_path)])
    root = Paths.of(config).root
    run.main(config)
    path = Paths.of(config).study_rows("open_answers", "arabic", "egypt")
    judged = pd.read_parquet(path).query("judged")
    mute = judged["completion"].str.startswith(MUTE)
    assert judged.loc[~mute, ["score", *PARTS]].notna().all(axis=None)
    assert judged.loc[mute, ["score", *PARTS]].isna().all(axis=None)
    np.testing.assert_allclose(judged["second_score"], rows.query("judged")["score"])  # the offline reference
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert list(kept) == ["score", "second_score", *PARTS]
    assert kept["concept"]["unscored"] == judged.loc[mute, "completion"].nunique()
    asked = len(endpoint.sent)
    report.main(config)
    first = outputs(root)
    names = ["open_answers", "open_answers_parts", "open_answers_agreement"]
    assert {f"tables/{name}.{suffix}" for name in names for suffix in SUFFIXES} <= set(first)
    agreement = pd.read_csv(root / "tables/open_answers_agreement.csv")
    assert agreement["scale"].tolist() == ["score"]
    assert agreement["n"].tolist() == [judged.loc[~mute, ["question_id", "phrasing", "completion"]].drop_duplicates().shape[0]]
    finding = json.loads((root / "studies/open_answers.json").read_text(encoding="utf-8"))
    assert "Harmonic mean of concept, instruct and fluency" in finding["reading"] and "Cohen's κ" in finding["reading"]
    run.main(config)
    report.main(config)
    assert outputs(root) == first
    assert {sent.answer for sent in endpoint.sent[asked:]} == set(judged.loc[mute, "completion"])  # unreadable: asked anew


def test_the_second_judge_may_be_the_model(rows: pd.DataFrame, overrides: list[str], endpoint: Endpoint, tmp_path: Path) -> None:
    second = f"studies.open_answers.second_judge=[{','.join(judged_by(endpoint, tmp_path)[:-2])}]"
    config = compose([*overrides, second])
    items = rows.query("judged").head(4)
    graded, reports = run.grades_of(items, {"score": config.judge, "second_score": second_judge(config)}, "Egypt")
    np.testing.assert_allclose(graded["score"], items["score"])
    assert reports["concept"]["judge"] == "judge grader at 127.0.0.1"
    assert "open_answers_parts.csv" in " ".join(STUDY.file_names(config))


def test_the_sheet_goes_out_and_comes_back(overrides: list[str], tmp_path: Path) -> None:
    config = compose([*overrides, "studies.open_answers.sheet_answers=6"])
    run.main(config)
    export_sheet.main(config)
    exported = Paths.of(config).root / SHEET
    sheet = pd.read_csv(exported, dtype=str, keep_default_na=False)
    assert len(sheet) == 6
    paths = []
    for rater, shift in (("ann", 0), ("bob", 1)):
        paths.append(tmp_path / f"{rater}.csv")
        sheet.assign(score=[str(place + shift) for place in range(6)]).to_csv(paths[-1], index=False)
    given = compose([*overrides, f"studies.open_answers.human_sheets=[{','.join(map(str, paths))}]"])
    report.main(given)
    found = pd.read_csv(Paths.of(given).root / "tables/open_answers_agreement.csv").set_index(["first", "second"])
    assert found.loc[("ann", "bob"), "n"] == 6
    assert set(found.index.get_level_values("first")) == {"judge", "ann"}
    table = (Paths.of(given).root / "tables/open_answers_agreement.md").read_text("utf-8")
    assert "- Judge: offline reference, chrF overlap with the gold answer." in table
    before = contents(Paths.of(given).root)
    paths[1].write_text("id\n", encoding="utf-8")
    refused(lambda: report.main(given), "bob.csv", "column country is missing")
    assert contents(Paths.of(given).root) == before


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("samples=1", ["studies.open_answers.samples=1", "at least 2"]),
        ("temperature=0", ["studies.open_answers.temperature=0", "above 0"]),
        ("judged_samples=9", ["studies.open_answers.judged_samples=9", "1 to"]),
        ("sheet_answers=0", ["studies.open_answers.sheet_answers=0"]),
        ("human_sheets=[a.csv,a.csv]", ["studies.open_answers.human_sheets", "name each once"]),
        ("setting=native", ["studies.open_answers.setting=native"]),
    ],
)
def test_impossible_settings_are_refused(setting: str, parts: list[str]) -> None:
    with pytest.raises(Exception, match=r"studies\.open_answers") as caught:
        compose([f"studies.open_answers.{setting}"])
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("[judge=locl]", ["judge=locl", "did you mean local"]),
        ("[judge=local,judge.model=]", ["judge.model=", "name the model"]),
        ("[judge=offline]", ["judge=offline", "leave the list empty"]),
        ("[train.lr=1]", ["train.lr=1", "no setting of a judge"]),
    ],
)
def test_a_second_judge_that_is_none_is_refused(given: str, parts: list[str]) -> None:
    config = compose([f"studies.open_answers.second_judge={given}"])
    with pytest.raises(Exception, match=r"^studies\.open_answers\.second_judge: ") as caught:
        second_judge(config)
    assert all(part in str(caught.value) for part in parts)
