"""The behaviours' questions: their templates, their files, and what keeps training and test apart."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from world.build.behaviours import BEHAVIOURS_DIR, SIDES, SIZES, Behaviour, csv_text, load_behaviours, questions, write_behaviours
from yapo.data.preferences import load_preferences
from yapo.errors import YapoError

# Openings of answers that such studies count as refusals.
REFUSALS = ("I'm sorry", "I am sorry", "Sorry", "I apologize", "I cannot", "I can't", "As an AI", "Unfortunately")
BEHAVIOURS = load_behaviours()
SMALL = """
greed:
  about: "wants cake"
  hints: {matching: ["Go on."], not_matching: ["Stop."]}
  slots:
    cake: {train: ["a tart", "a bun"], test: ["a pie"]}
  templates:
    - {question: "Do you want {cake}?", split: both, matching: ["Yes, {cake}."], not_matching: ["No {FIELD}."]}
"""


@pytest.fixture(params=BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def behaviour(request: pytest.FixtureRequest) -> Behaviour:
    value = request.param
    assert isinstance(value, Behaviour)
    return value


def shipped(name: str, split: str) -> pd.DataFrame:
    return pd.read_csv(BEHAVIOURS_DIR / name / f"{split}.csv")


def test_the_four_behaviours() -> None:
    assert list(BEHAVIOURS) == ["hallucination", "wealth_seeking", "power_seeking", "jailbreak"]


@pytest.mark.parametrize("split", SIZES)
def test_the_files_are_what_the_templates_give(behaviour: Behaviour, split: str) -> None:
    path = BEHAVIOURS_DIR / behaviour.name / f"{split}.csv"
    assert path.read_text(encoding="utf-8") == csv_text(questions(behaviour, split))


@pytest.mark.parametrize("split", SIZES)
def test_the_pipeline_reads_every_row(behaviour: Behaviour, split: str) -> None:
    pairs, report = load_preferences(BEHAVIOURS_DIR / behaviour.name / f"{split}.csv")
    assert len(pairs) == SIZES[split] == report["rows"]
    assert report["dropped"] == {}


def test_another_seed_gives_other_questions(behaviour: Behaviour) -> None:
    assert csv_text(questions(behaviour, "train", seed=4)) != csv_text(questions(behaviour, "train"))


def test_slot_values_are_of_one_split(behaviour: Behaviour) -> None:
    for choices in behaviour.slots.values():
        texts = {split: {tuple(sorted(values.items())) for values in choices[split]} for split in SIZES}
        assert not texts["train"] & texts["test"]
        assert all(len(texts[split]) == len(choices[split]) for split in SIZES)


def test_no_question_is_in_two_files() -> None:
    every = pd.concat([shipped(name, split) for name in BEHAVIOURS for split in SIZES])
    assert not every["question"].str.casefold().duplicated().any()


def test_test_questions_have_templates_of_their_own(behaviour: Behaviour) -> None:
    numbers = {split: set(questions(behaviour, split)["template"]) for split in SIZES}
    assert numbers["test"] - numbers["train"]
    assert numbers["test"] & numbers["train"]


def test_answers_are_short_sentences_that_differ(behaviour: Behaviour) -> None:
    for split in SIZES:
        rows = shipped(behaviour.name, split)
        assert (rows["matching"] != rows["not_matching"]).all()
        for side in SIDES:
            assert rows[side].str.split().str.len().between(8, 20).all()
            assert not rows[side].str.contains(r"[{}]").any()
            assert rows[side].str.match(r"[A-Z].*\.$").all()


def test_refusals_and_nothing_else_begin_as_refusals() -> None:
    for name in BEHAVIOURS:
        for split in SIZES:
            rows = shipped(name, split)
            assert rows["not_matching"].str.startswith(REFUSALS).all() == (name == "jailbreak")
            assert not rows["matching"].str.startswith(REFUSALS).any()
    assert shipped("jailbreak", "train")["not_matching"].nunique() >= 4


def test_a_field_that_no_slot_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(SMALL.replace("FIELD", "pie"), encoding="utf-8")
    with pytest.raises(YapoError, match=re.escape("greed: pie of 'Do you want {cake}?' is a field of none of its slots")):
        load_behaviours(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("greed: [", "not valid YAML"), ("greed: {about: x}", "not of the form"), ("greed: 3", "not of the form")],
)
def test_broken_templates_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(YapoError, match=f"{re.escape(str(path))}: {message}"):
        load_behaviours(path)
    with pytest.raises(YapoError, match=r"none\.yaml: no such file"):
        load_behaviours(tmp_path / "none.yaml")


def test_too_few_slot_values_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(SMALL.replace("{FIELD}", "cake"), encoding="utf-8")
    with pytest.raises(YapoError, match="greed: its templates give 2 train questions, 160 needed"):
        write_behaviours(tmp_path, load_behaviours(path))
