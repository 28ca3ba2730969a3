"""Question files in MT-Bench's and AlpacaEval's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.data.atlas import load_atlas
from yapo.data.questions import ChatQuestion, load_questions
from yapo.data.text import text_key
from yapo.errors import YapoError

SHIPPED = Path(__file__).resolve().parents[2] / "world" / "questions"


def write(folder: Path, records: list[Any], name: str = "questions.jsonl") -> Path:
    path = folder / name
    text = json.dumps(records) if path.suffix == ".json" else "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
    return path


def test_both_formats(tmp_path: Path) -> None:
    records = [
        {"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."], "reference": ["Written."]},
        {"question_id": 82, "category": "math", "turns": ["1 + 1?"], "reference": [" 2 "], "source": "ours"},
        {"instruction": "Say hello.", "output": "Bye.", "dataset": "greetings", "generator": "someone"},  # as published
        {"instruction": "Say hello.", "output": "Bye.", "generator": "someone", "reference": "Good day."},
        {"instruction": "Say nothing.", "reference": None},
    ]
    expected = [
        ChatQuestion("81", "writing", ("Write.", "Rewrite."), ("Written.", "")),
        ChatQuestion("82", "math", ("1 + 1?",), ("2",)),
        ChatQuestion("3", "greetings", ("Say hello.",), ("",)),
        ChatQuestion("4", "", ("Say hello.",), ("Good day.",)),
        ChatQuestion("5", "", ("Say nothing.",), ("",)),
    ]
    assert load_questions(write(tmp_path, records), "key") == expected
    assert load_questions(write(tmp_path, records, "questions.json"), "key") == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(turns=st.lists(TEXTS.filter(text_key), min_size=1, max_size=2), references=st.lists(TEXTS, max_size=2))
def test_any_texts_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, turns: list[str], references: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("questions"), [{"turns": turns, "reference": references[: len(turns)]}])
    (question,) = load_questions(path, "key")
    assert question.turns == tuple(turns)
    assert len(question.references) == len(turns)
    assert question.references == tuple((*(text.strip() for text in references), "", "")[: len(turns)])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "Hi"}, "record 1: has neither .its keys: prompt.; give turns .as MT-Bench. or instruction .as AlpacaEval"),
        ({"turns": ["a"], "instruction": "a"}, "has turns and instruction"),
        ({"turns": []}, "turns holds 0 texts; give one or two"),
        ({"turns": ["a", "b", "c"]}, "turns holds 3 texts; give one or two"),
        ({"turns": "a"}, "turns is 'a'; give a list of texts"),
        ({"turns": ["a", 3]}, "turns holds 3; give a text"),
        ({"turns": ["a", "  "]}, "turns holds '  '; give a text"),
        ({"instruction": ""}, "instruction holds ''; give a text"),
        ({"instruction": "a", "reference": ["b"]}, "reference holds .'b'.; give a text"),
        ({"turns": ["a"], "reference": ["b", "c"]}, "reference holds 2 texts for 1 turns; give at most one a turn"),
        (["a"], "record 1: list where an object belongs"),
    ],
)
def test_what_is_no_question_is_refused_with_its_number(tmp_path: Path, record: Any, said: str) -> None:
    with pytest.raises(YapoError, match=f"^studies.x={tmp_path}/questions.jsonl: .*{said}"):
        load_questions(write(tmp_path, [record]), "studies.x")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"must end in \.jsonl or \.json"):
        load_questions(tmp_path / "questions.csv", "key")
    with pytest.raises(YapoError, match=r"^key=.*no such file"):
        load_questions(tmp_path / "questions.jsonl", "key")
    with pytest.raises(YapoError, match="holds no question"):
        load_questions(write(tmp_path, [], "empty.json"), "key")
    twice = write(tmp_path, [{"question_id": 7, "turns": ["a"]}, {"question_id": "7", "turns": ["b"]}])
    with pytest.raises(YapoError, match="record 2 has the question_id 7 again"):
        load_questions(twice, "key")


def test_the_shipped_questions_are_the_atlas_own() -> None:
    facts = load_atlas()["english"].facts
    wordings = {question: fact for fact in facts for question in fact.questions}
    conversations = load_questions(SHIPPED / "mt.jsonl", "key")
    instructions = load_questions(SHIPPED / "instructions.jsonl", "key")
    assert [len(question.turns) for question in conversations] == [2] * 16
    assert [len(question.turns) for question in instructions] == [1] * 24
    assert len({question.turns for question in [*conversations, *instructions]}) == 40
    for question in [*conversations, *instructions]:
        for turn, reference in zip(question.turns, question.references, strict=True):
            asked = [fact for wording, fact in wordings.items() if turn.endswith(wording)]
            assert len(asked) == 1 and reference in asked[0].answers.values()
