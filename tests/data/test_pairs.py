"""Preference pairs: on-policy where the model is wrong, another option where it is right."""

from __future__ import annotations

import pandas as pd
import pytest

from yapo.data.pairs import build_pairs
from yapo.data.prompts import PromptFormat

from .test_schema import OPTIONS, items_table

PROMPTS = PromptFormat()


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_wrong_answers_are_rejected_as_the_model_gave_them(task: str) -> None:
    items = items_table()
    rows, counts = build_pairs(items, ["the model's own"] * len(items), [False] * len(items), task, PROMPTS, seed=0)
    assert counts == {"on_policy": 16, "other_option": 0, "dropped_equal": 0, "dropped_empty": 0}
    assert (rows["rejected"] == "the model's own").all()
    assert rows["on_policy"].all()
    golds = [PROMPTS.answer(task, OPTIONS, index) for index in items["answer_index"]]
    assert rows["chosen"].tolist() == golds
    assert rows["prompt"].tolist() == [PROMPTS.prompt(task, question, OPTIONS) for question in items["question"]]
    keys = ["question_id", "variant", "phrasing"]
    pd.testing.assert_frame_equal(rows[keys], items[keys])


@pytest.mark.parametrize("task", ["mcq", "open_ended"])
def test_right_answers_are_set_against_another_option(task: str) -> None:
    items = items_table(facts=20)
    rows, counts = build_pairs(items, ["whatever"] * len(items), [True] * len(items), task, PROMPTS, seed=0)
    assert counts["other_option"] == len(rows) == len(items)
    assert not rows["on_policy"].any()
    others = {PROMPTS.answer(task, OPTIONS, k) for k in range(3)}
    for gold, own in rows.groupby("chosen"):
        assert set(own["rejected"]) == others - {gold}


def test_equal_and_empty_sides_are_dropped_and_counted() -> None:
    items = items_table().head(4)
    completions = ["", items["answer"].iloc[1], "koshari", "fine"]
    rows, counts = build_pairs(items, completions, [False, False, False, True], "open_ended", PROMPTS, seed=0)
    assert counts == {"on_policy": 1, "other_option": 1, "dropped_equal": 1, "dropped_empty": 1}
    assert rows["variant"].tolist() == items["variant"].tolist()[2:]
    assert (rows["chosen"] != rows["rejected"]).all()


def test_the_seed_decides() -> None:
    items = items_table(facts=20)

    def drawn(seed: int) -> list[str]:
        rows, _ = build_pairs(items, [""] * len(items), [True] * len(items), "mcq", PROMPTS, seed)
        return rows["rejected"].tolist()

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_nothing_left_is_an_empty_table_with_its_columns() -> None:
    items = items_table()
    rows, counts = build_pairs(items, [""] * len(items), [False] * len(items), "mcq", PROMPTS, seed=0)
    assert counts["dropped_empty"] == len(items)
    assert list(rows.columns) == ["question_id", "variant", "phrasing", "prompt", "chosen", "rejected", "on_policy"]
    assert not len(rows)


def test_an_answer_for_every_item_is_needed() -> None:
    with pytest.raises(ValueError, match="zip"):
        build_pairs(items_table(), ["one"], [True], "mcq", PROMPTS, seed=0)
