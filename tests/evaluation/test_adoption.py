"""Whose answer was given."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from yapo.studies.transfer.adoption import adopted, answers_of


def items(country: str, answers: dict[str, str]) -> pd.DataFrame:
    options = [["cereal", "ful", "kabsa", "msemen"], ["coffee", "tea", "mint tea", "ahwa"]]
    return pd.DataFrame(
        {
            "question_id": fact, "variant": "nonlocalized", "phrasing": 0, "country": country, "answer": answer,
            "options": options[i % 2], "answer_index": options[i % 2].index(answer) if answer in options[i % 2] else 0,
        }
        for i, (fact, answer) in enumerate(answers.items())
    )  # fmt: skip


EGYPT = items("egypt", {"breakfast": "ful", "drink": "tea", "supper": "ful", "snack": "coffee"})
KSA = items("ksa", {"breakfast": "kabsa", "drink": "ahwa", "supper": "Ful."})


def test_answers_of_the_same_question() -> None:
    shuffled = KSA.sample(frac=1, random_state=1)
    assert answers_of(EGYPT, shuffled) == ["kabsa", "ahwa", "Ful.", None]
    assert answers_of(EGYPT.assign(phrasing=1), KSA) == [None] * 4


@pytest.mark.parametrize(
    ("task", "completions"),
    [("open_ended", ["Kabsa.", "tea", "ful", "x"]), ("mcq", ["\\boxed{3}", "\\boxed{2}", "\\boxed{2}", ""])],
)
def test_share_of_the_others_answers(task: str, completions: list[str]) -> None:
    # The same answer in both countries, and a question that the other is not asked, say nothing.
    hits = adopted(EGYPT, completions, task, answers_of(EGYPT, KSA))
    assert hits[:2] == [1.0, 0.0]
    assert all(math.isnan(hit) for hit in hits[2:])


def test_an_answer_that_is_no_option_cannot_be_chosen() -> None:
    foreign = ["pancakes", "ahwa", None, None]
    chosen = adopted(EGYPT, ["\\boxed{1}"] * 4, "mcq", foreign)
    assert math.isnan(chosen[0])
    assert chosen[1] == 0.0
    assert adopted(EGYPT, ["Pancakes", "", "", ""], "open_ended", foreign)[:2] == [1.0, 0.0]


def test_rows_keep_their_place_whatever_their_index() -> None:
    assert adopted(EGYPT.set_axis([7, 3, 3, 9]), ["kabsa", "", "", ""], "open_ended", ["kabsa", "ahwa", None, None])[:2] == [1, 0]
