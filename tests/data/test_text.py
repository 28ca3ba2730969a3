"""Texts that are the same: typing does not count, words do; and everything that compares texts agrees."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from yapo.config import JudgeConfig
from yapo.data.atlas import load_atlas
from yapo.data.pairs import build_pairs
from yapo.data.prompts import PromptFormat
from yapo.data.text import is_blank, plain_text, shown, text_key
from yapo.evaluation.exact import exact
from yapo.evaluation.judges import Request, get_judge
from yapo.studies.transfer.run import adopted

from .test_schema import items_table

# The isolated presentation form of every Arabic letter that has one.
FORMS = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFEFC, 0xFE7F, -1)}
WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}
MARKS = ".،؟?!…。！।॥۔؛:;"
TYPINGS: dict[str, Callable[[str], str]] = {
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatible": lambda text: unicodedata.normalize("NFKD", text),
    "upper": str.upper,
    "lower": str.lower,
    "full width": lambda text: "".join(WIDE.get(c, c) for c in text),
    "presentation forms": lambda text: "".join(FORMS.get(c, c) for c in text),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "wide spaces": lambda text: f"\u3000{text.replace(' ', '  ')}\n",
    "zero width": lambda text: "\u200b".join(text),
    "joiners": lambda text: f"\ufeff{text}\u200c\u200d\u2060",
    "soft hyphen": lambda text: text[:1] + "\u00ad" + text[1:],
    "direction": lambda text: f"\u200f\u202b{text}\u202c\u200e",
    "isolates": lambda text: f"\u2067{text}\u2069\u061c",
    "controls": lambda text: f"\x07{text}\x7f",
    **{f"closing {mark}": (lambda text, mark=mark: text + mark) for mark in MARKS},
    **{
        f"in {pair}": (lambda text, pair=pair: f"{pair[0]}{text}{pair[1]}")
        for pair in ("«»", "“”", "‘’", '""', "''", "()", "「」", "‹›", "¿?", "¡!")
    },
    "quoted sentence": lambda text: f"« {text}. » ",
}
ARABIC: dict[str, Callable[[str], str]] = {
    "tatweel": lambda text: text.replace("ا", "ـا") + "ـ",
    "vowels": lambda text: "".join(c + "\u064e" if c.isalpha() else c for c in text),
    "doubling and tanwin": lambda text: text[:1] + "\u0651\u064f" + text[1:] + "\u064b",
    "superscript alef": lambda text: text[:1] + "\u0670" + text[1:],
    "digits": lambda text: text.replace("3", "٣"),
}
WORDS = [
    "Mate, a fry-up",
    "café con leche",
    "आलू पराठा और दही",
    "क़लम",
    "شاي بلبن",
    "مسمن وبغرير 3",
    "أؤمن بالله",
    "ÉCHARPE ßtraße",
    "3.5 kg",
]
TYPED = [(word, how(word)) for word in WORDS for how in TYPINGS.values()] + [
    (word, how(word)) for word in WORDS[4:7] for how in ARABIC.values()
]
DISTINCT = [
    ("mañana", "manana"), ("चाय", "चय"), ("की", "का"), ("शाम", "शम"), ("شاي", "شاى"), ("أب", "اب"), ("آن", "ان"),
    ("مؤمن", "مومن"), ("فتاة", "فتاه"), ("50%", "50"), ("50٪", "50"), ("$5", "5"), ("-5", "5"), ("+5", "5"),
    (".5", "5"), ("3.5", "35"),
    ("10⁵", "105"), ("1½", "11/2"), ("①②", "12"), ("C#", "C"), ("C++", "C"), ("a b", "ab"), ("fry-up", "fryup"), ("&", "and"),
    ("!", "?"), ("", "a"), ("A&B", "AB"), ("tea/coffee", "tea coffee"), ("don't", "dont"), ("ı", "i"), ("を", "お"),
    ("12:30", "1230"), ("3,5", "35"),
]  # fmt: skip
SAME = [
    ("don’t", "don't"), ("fry‑up", "fry-up"), ("fry–up", "fry-up"), ("“a” b", '"a" b'), ("½", "1/2"), ("چای\u200c", "چای"),
    ("☕\ufe0f", "☕"), ("ﷲ", "الله"), ("ﻻ", "لا"), ("Ⅳ", "iv"), ("ﬁsh", "fish"), ("५", "5"), ("e\u200b\u0301", "é"),
    ("ﹶشاي", "شاي"),
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=20))
@example(".")
def test_a_key_is_its_own_key(text: str) -> None:
    assert text_key(text_key(text)) == text_key(text)
    assert plain_text(plain_text(text)) == plain_text(text)
    assert text_key(plain_text(text)) == text_key(text)
    assert is_blank(text) == (text_key(text) == "")


@settings(max_examples=50, deadline=None)
@given(word=st.text(st.characters(categories=["L", "Nd"], exclude_characters="ſ"), min_size=1, max_size=8), data=st.data())
def test_any_word_stays_itself_however_it_is_typed(word: str, data: st.DataObject) -> None:
    assume(not is_blank(word))  # as a lone vowel mark is, in Arabic presentation forms
    names = [name for name in TYPINGS if name not in ("upper", "lower", "presentation forms", "zero width", "soft hyphen")]
    for name in data.draw(st.lists(st.sampled_from(names), max_size=3)):
        word_typed = TYPINGS[name](word)
        assert text_key(word_typed) == text_key(word), name


@pytest.mark.parametrize(("first", "second"), DISTINCT)
def test_words_and_signs_that_differ_stay_different(first: str, second: str) -> None:
    assert text_key(first) != text_key(second)


@pytest.mark.parametrize(("first", "second"), SAME)
def test_other_ways_to_type_the_same(first: str, second: str) -> None:
    assert text_key(first) == text_key(second)


def test_every_typing_of_the_gold_answer_is_right_everywhere() -> None:
    """Exact match, offline judge, rejected answer and adoption decide alike."""
    items = items_table(1, 1).head(1)
    table = pd.concat([items] * len(TYPED), ignore_index=True)
    table = table.assign(answer=[gold for gold, _ in TYPED], options=[[gold, "something else", "third"] for gold, _ in TYPED])
    table = table.assign(answer_index=0, phrasing=range(len(TYPED)))
    completions = [text for _, text in TYPED]
    assert [pair for pair, right in zip(TYPED, exact(table, completions, "open_ended"), strict=True) if not right] == []
    judge = get_judge(JudgeConfig())
    scores = [judgement.score for judgement in judge.judge([Request("", gold, text) for gold, text in TYPED])]
    assert set(scores) == {10.0}
    between = judge.judge([Request("", "so", text, opposite=gold) for gold, text in TYPED])
    assert {judgement.score for judgement in between} == {1.0}
    rows, counts = build_pairs(table, completions, [False] * len(table), "open_ended", PromptFormat(), 0)
    assert (len(rows), counts["dropped_equal"]) == (0, len(table))
    rivals = table.assign(answer="something else")
    assert adopted(rivals, completions, "open_ended", [gold for gold, _ in TYPED]) == [1.0] * len(table)
    assert adopted(table, completions, "open_ended", completions) != [0.0] * len(table)


def test_a_typed_answer_with_more_words_is_near_the_gold_one() -> None:
    judge = get_judge(JudgeConfig())
    for gold, text in TYPED[: len(WORDS) * len(TYPINGS)]:  # overlap still counts vowel marks: they may tell words apart
        score = judge.judge([Request("", gold, f"{text} xyz")])[0].score
        assert score is not None and 4 < score < 10, (gold, text)


def test_the_texts_of_the_atlas_keep_their_differences() -> None:
    for language in load_atlas().values():
        texts = {text.rstrip(".?؟!।») ") for fact in language.facts for text in (*fact.questions, *fact.answers.values())}
        assert len(set(map(text_key, texts))) >= len({text.casefold() for text in texts}) - 2


def test_long_and_endless_values_are_shown_short() -> None:
    endless: list[object] = ["a"]
    for _ in range(40):
        endless = [endless] * 9
    assert len(shown(endless)) < 250
    assert len(shown("x" * 10_000)) < 250
    assert shown(["tea", "coffee"]) == "['tea', 'coffee']"
