"""Rubrics for conversations: what a judge sees, how its reply is read, and what stands in where there is no judge."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.config import JudgeConfig
from yapo.evaluation.judges import Judgement, Request
from yapo.evaluation.judges.chat import (
    COMPARE,
    FIRST,
    GRADE,
    SECOND,
    TIE,
    get_comparer,
    get_grader,
    grade_by_reference,
    nearer_to_reference,
)
from yapo.evaluation.judges.rubric import Rubric

from .endpoint import Endpoint, says
from .test_cache import Configure

SECOND_TURN = Request("And at noon?", "Jacket potato", "Soup", earlier=("What is eaten at dawn?", "Beans"))
PAIR = Request("What is eaten at dawn?", "Beans", "Beans on toast", rival="Nothing")


def seen(rubric: Rubric, request: Request) -> dict[str, str]:
    return dict(json.loads(rubric.messages(request)[1]["content"].split("\n")[1]))


@pytest.mark.parametrize(
    ("rubric", "reply", "grades"),
    [
        (GRADE, '{"reason": "good", "grade": 10}', {"grade": 10}),
        (GRADE, '{"grade": 1}', {"grade": 1}),
        (GRADE, '{"grade": 0}', None),
        (GRADE, '{"grade": 11}', None),
        (GRADE, '{"grade": 7.5}', None),
        (GRADE, "[[7]]", None),
        (GRADE, "Rating: 7", None),
        (COMPARE, '{"better": 0}', {"better": TIE}),
        (COMPARE, '{"reason": "second", "better": 2}', {"better": SECOND}),
        (COMPARE, '{"better": 3}', None),
        (COMPARE, '{"better": "first"}', None),
    ],
)
def test_only_whole_numbers_of_the_scale_are_read(rubric: Rubric, reply: str, grades: dict[str, int] | None) -> None:
    assert rubric.parse(reply) == grades


def test_the_judge_sees_what_was_said_before_and_the_reference() -> None:
    assert seen(GRADE, SECOND_TURN) == {
        "earlier_question": "What is eaten at dawn?",
        "earlier_answer": "Beans",
        "question": "And at noon?",
        "answer_to_grade": "Soup",
        "reference_answer": "Jacket potato",
    }
    assert seen(GRADE, Request("Why?", "", "So")) == {"question": "Why?", "answer_to_grade": "So"}
    assert seen(COMPARE, PAIR) == {
        "instruction": PAIR.question,
        "first_answer": "Beans on toast",
        "second_answer": "Nothing",
        "reference_answer": "Beans",
    }
    assert "Compare the two answers in the data above." in COMPARE.messages(PAIR)[1]["content"]


def test_an_endpoint_grades_and_compares(configure: Configure) -> None:
    script = {"Soup": [says('{"grade": 4}')], "Beans on toast": [says('{"better": 1}')], "Nothing": [says("?"), says("??")]}
    turned = Request(PAIR.question, PAIR.gold, PAIR.rival, rival=PAIR.completion)
    with Endpoint(script) as endpoint:
        grader, comparer = get_grader(configure(endpoint.url)), get_comparer(configure(endpoint.url))
        assert grader.judge([SECOND_TURN]) == [Judgement(4.0, {"grade": 4})]
        assert comparer.judge([PAIR, turned]) == [Judgement(1.0, {"better": FIRST}), Judgement(None)]
        assert (grader.label, comparer.report()["unscored"]) == ("judge grader at 127.0.0.1", 1)


def test_offline_needs_a_reference_and_says_so() -> None:
    for judge in (get_grader(JudgeConfig()), get_comparer(JudgeConfig())):
        (judged,) = judge.judge([Request("Why?", "", "Because", rival="No")])
        assert judged.score is None
        assert judge.report() == {"judge": judge.label, "answers": 1, "unscored": 1}
        assert "unscored where there is none" in judge.label


@given(st.text(max_size=20), st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_offline_scores_agree_with_one_another(own: str, other: str, gold: str) -> None:
    grades = [grade_by_reference(Request("q", gold, text)) for text in (own, other)]
    assert all(1.0 <= grade <= 10.0 for grade in grades)
    verdict = nearer_to_reference(Request("q", gold, own, rival=other))
    assert nearer_to_reference(Request("q", gold, other, rival=own)) == {TIE: TIE, FIRST: SECOND, SECOND: FIRST}[int(verdict)]
    if grades[0] != grades[1]:
        assert verdict == (FIRST if grades[0] > grades[1] else SECOND)


def test_the_reference_itself_is_graded_10() -> None:
    assert grade_by_reference(Request("q", "Jacket potato", "jacket potato.")) == 10.0
    assert grade_by_reference(Request("q", "Jacket potato", "")) == 1.0
    assert nearer_to_reference(Request("q", "Jacket potato", "Potato", rival="Soup")) == FIRST
