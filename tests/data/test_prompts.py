"""Wording of items, for training and evaluation alike."""

from __future__ import annotations

import pytest

from yapo.config import PromptConfig
from yapo.data.prompts import PromptFormat
from yapo.errors import YapoError
from yapo.evaluation.exact import parse_choice
from yapo.models.tokenizer import ChatTokenizer

OPTIONS = ["فول", "{curly} braces", "पोहा"]


def test_multiple_choice() -> None:
    lines = PromptFormat().prompt("mcq", "Which {one}?", OPTIONS).split("\n")
    assert sorted(lines) == ["1) فول", "2) {curly} braces", "3) पोहा", "Which {one}?"]
    assert [line[0] for line in lines if line[0].isdigit()] == ["1", "2", "3"]


def test_open_ended_shows_no_option() -> None:
    assert PromptFormat().prompt("open_ended", "Which {one}?", OPTIONS) == "Which {one}?"


@pytest.mark.parametrize("index", range(3))
def test_the_gold_answer_is_read_back(index: int) -> None:
    prompts = PromptFormat()
    assert parse_choice(prompts.answer("mcq", OPTIONS, index), len(OPTIONS)) == index
    assert prompts.answer("open_ended", OPTIONS, index) == OPTIONS[index]


def test_templates_can_be_changed() -> None:
    prompts = PromptFormat(mcq="{options}\nQ: {question}", option="({k}) {option}", open_ended="Q: {question}")
    assert prompts.prompt("mcq", "q", ["a", "b"]) == "(1) a\n(2) b\nQ: q"
    assert prompts.prompt("open_ended", "q", ["a", "b"]) == "Q: q"


def test_the_defaults_are_the_configured_ones() -> None:
    config = PromptConfig()
    assert PromptFormat(config.mcq, config.option, config.open_ended, config.boxed) == PromptFormat()


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("mcq", "{questoin}\n{options}"),
        ("mcq", "{question}"),
        ("option", "{option}"),
        ("option", "{k} {option} {"),
        ("open_ended", "Answer!"),
        ("open_ended", "{question} {options}"),
        ("boxed", "\\boxed{k}"),
        ("boxed", "answer {k}"),
    ],
)
def test_templates_without_their_fields_are_refused(key: str, template: str) -> None:
    with pytest.raises(YapoError, match=f"^prompts.{key}="):
        PromptConfig(**{key: template})


def test_a_boxed_answer_is_one_token_a_sign(tokenizer: ChatTokenizer) -> None:
    """The number stands alone, so that it is where the answer is decided."""
    ids = [tokenizer.response(PromptFormat().answer("mcq", OPTIONS, k)) for k in range(3)]
    assert {len(row) for row in ids} == {len(ids[0])}
    assert [sum(len({row[i] for row in ids}) > 1 for i in range(len(ids[0])))] == [1]
