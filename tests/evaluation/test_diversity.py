"""Words of several scripts, and measures of diversity against their definitions."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from sacrebleu.metrics.chrf import CHRF

from yapo.evaluation.diversity import distinct, repetitions, self_chrf
from yapo.evaluation.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mate, a MEAT pie!", ["mate", "a", "meat", "pie"]),
        ("don't—stop", ["don", "t", "stop"]),
        ("بصّ، كَحك العيد", ["بص", "كحك", "العيد"]),  # vowel marks do not count
        ("हिमालय की चाय", ["हिमालय", "की", "चाय"]),  # vowel signs belong to their word
        ("朝ごはん", ["朝", "ご", "は", "ん"]),
        ("ข้าว 2 จาน", ["ข้", "า", "ว", "2", "จ", "า", "น"]),
        ("東京tower", ["東", "京", "tower"]),
        ("하루 세 끼", ["하루", "세", "끼"]),
        ("¡...!", []),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_distinct_counts_over_all_texts_and_spans_none() -> None:
    texts = ["a b a b", "b c"]
    assert distinct(texts, 1) == pytest.approx(3 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 4)  # ab, ba, ab; bc: "b b" stands in no text
    assert distinct(["A b", "a B."], 1) == pytest.approx(2 / 4)
    assert distinct(["同じ", "同じ"], 2) == pytest.approx(1 / 2)


def test_distinct_of_texts_that_are_too_short_is_not_defined() -> None:
    assert math.isnan(distinct(["one", ""], 2))
    assert math.isnan(distinct([], 1))
    assert distinct(["one", "two words"], 2) == 1.0


def test_self_chrf_is_the_mean_over_ordered_pairs() -> None:
    texts = ["green tea with mint", "black tea with milk", "coffee"]
    scores = [CHRF().sentence_score(one, [other]).score for one, other in permutations(texts, 2)]
    assert self_chrf(texts) == pytest.approx(sum(scores) / 6)
    assert self_chrf(["Tea.", "tea", "TEA"]) == 100.0
    assert self_chrf(["tea", "xyz"]) == 0.0
    assert math.isnan(self_chrf(["tea"]))


def test_repetitions_are_later_ones_and_not_empty() -> None:
    assert repetitions(["Tea.", "", "tea", " ", "milk", "TEA!"]) == [False, False, True, False, False, True]
