"""Rows that belong together are found from what they share, whatever their order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.data.variants import (
    Row,
    closer_than_strangers,
    fact_ids,
    fact_topics,
    pair_variants,
    western_controls,
)

PLACES = ("egypt", "ksa", "levantine", "morocco")


def row(place: str, variant: str, question: str, options: tuple[str, ...], answer: int, language: str = "Arabic") -> Row:
    return Row(f"{place} {variant} {question}", place, language, variant, question, options, answer, "unknown", "unknown")


def both(place: str, topic: str, options: tuple[str, ...], answer: int) -> list[Row]:
    named = row(place, "localized", f"In {place}, what about {topic}?", options, answer)
    return [named, row(place, "nonlocalized", f"What about {topic}?", tuple(reversed(options)), len(options) - 1 - answer)]


def dishes(topic: str) -> tuple[str, ...]:
    return (*(f"{place} {topic}" for place in PLACES), f"plain {topic}")


def world(topics: list[str]) -> list[Row]:
    return [one for topic in topics for i, place in enumerate(PLACES) for one in both(place, topic, dishes(topic), i)]


@given(topics=st.lists(st.text("abcdefgh", min_size=4, max_size=8), min_size=1, max_size=6, unique=True), order=st.randoms())
@settings(max_examples=40, deadline=None)
def test_every_row_finds_its_partner_and_its_siblings(topics: list[str], order) -> None:
    rows = world(topics)
    order.shuffle(rows)
    pairing = pair_variants(rows)
    assert (len(pairing.pairs), pairing.dropped, pairing.ties) == (len(rows) // 2, [], 0)
    facts = fact_ids(pairing.pairs)
    found: dict[str, set[str]] = {}
    for pair, fact in zip(pairing.pairs, facts, strict=True):
        assert pair.localized.country == pair.nonlocalized.country
        assert pair.localized.question == f"In {pair.localized.country}, {pair.nonlocalized.question.replace('W', 'w')}"
        found.setdefault(pair.nonlocalized.question, set()).add(fact)
    assert sorted(map(len, found.values())) == [1] * len(topics)
    assert len(set(facts)) == len(topics)
    assert {fact.partition("-")[0] for fact in facts} == {"arabic"}
    again = pair_variants(world(topics)).pairs
    assert set(fact_ids(again)) == set(facts)


def test_questions_with_the_same_options_are_told_apart_by_their_words() -> None:
    options = ("yes", "no", "sometimes")
    topics = ["tea in the morning", "guests at night", "sweets for a wedding"]
    rows = [one for topic in topics for one in both("egypt", topic, options, 0)]
    rows = [*rows[::2], *reversed(rows[1::2])]
    pairing = pair_variants(rows)
    assert pairing.ties == 3
    for pair in pairing.pairs:
        assert pair.localized.question.endswith(pair.nonlocalized.question.removeprefix("What"))
    assert len(set(fact_ids(pairing.pairs))) == 1


def test_what_has_no_partner_is_named() -> None:
    first, second = world(["tea", "coffee"])[0:2], world(["tea", "coffee"])[8:10]
    other = replace(second[1], options=(*second[1].options[:-1], "something else"))
    pairing = pair_variants([*first, replace(first[0], name="again"), second[0], other])
    assert [(dropped.name, reason) for dropped, reason in pairing.dropped] == [
        ("again", "duplicate"),
        (second[0].name, "unpaired"),
        (other.name, "unpaired"),
    ]
    assert [pair.rows for pair in pairing.pairs] == [(first[0], first[1])]


def test_a_question_asked_twice_with_other_options_is_kept_once() -> None:
    rows = [*both("egypt", "tea", ("a", "b"), 0), *both("egypt", "tea", ("c", "d"), 0)]
    pairing = pair_variants(rows)
    assert [pair.rows for pair in pairing.pairs] == [(rows[0], rows[1])]
    assert pairing.dropped == [(rows[2], "same_question"), (rows[3], "same_question")]


def test_more_than_half_of_the_options_make_one_fact_and_half_does_not() -> None:
    def ids(first: tuple[str, ...], second: tuple[str, ...], language: str = "Arabic") -> int:
        rows = [*both("egypt", "tea", first, 0), *both("ksa", "water", second, 0)]
        rows = [*rows[:2], *(replace(one, language=language) for one in rows[2:])]
        return len(set(fact_ids(pair_variants(rows).pairs)))

    assert ids(("a", "b", "c", "d", "e"), ("c", "b", "a", "x", "y")) == 1
    assert ids(("a", "b", "c", "d"), ("a", "b", "x", "y")) == 2
    assert ids(("a", "b", "c"), ("a", "b", "c", "x", "y", "z")) == 2
    assert ids(("A.", "b"), ("a", "B ")) == 1
    assert ids(("a", "b"), ("a", "b"), language="English") == 2


def test_the_same_question_makes_one_fact_also_through_others() -> None:
    rows = [
        *both("egypt", "tea", ("a", "b"), 0),
        *both("ksa", "tea", ("c", "d"), 0),
        *both("ksa", "water", ("c", "d"), 1),
        *both("morocco", "sweets", ("e", "f"), 0),
    ]
    pairs = pair_variants(rows).pairs
    facts = dict(zip([pair.localized.question for pair in pairs], fact_ids(pairs), strict=True))
    assert (
        len({facts[f"In {place}, what about {topic}?"] for place, topic in (("egypt", "tea"), ("ksa", "tea"), ("ksa", "water"))})
        == 1
    )
    assert len(set(facts.values())) == 2
    assert fact_ids([]) == []


def test_wrong_pairs_are_no_closer_than_strangers() -> None:
    """The right options under the wrong question, which options alone do not show."""
    topics = ["tea", "weddings", "old proverbs", "the neighbours", "music at night", "borrowed money", "a long journey", "fruit"]
    rows = [one for topic in topics for one in both("egypt", topic, dishes(topic), 0)]
    assert closer_than_strangers(pair_variants(rows).pairs) == 1.0
    moved = [
        replace(one, question=rows[(i + 2) % len(rows)].question) if one.variant == "nonlocalized" else one
        for i, one in enumerate(rows)
    ]
    wrong = closer_than_strangers(pair_variants(moved).pairs)
    assert wrong is not None and wrong < 0.8
    assert closer_than_strangers(pair_variants(rows[:2]).pairs) is None


def test_the_control_is_the_option_of_no_country() -> None:
    rows = world(["tea", "coffee"])
    pairs = pair_variants(rows).pairs
    asked = {"Arabic": 4}
    assert set(western_controls(pairs, asked).values()) == {"plain tea", "plain coffee"}
    without_morocco = [pair for pair in pairs if pair.localized.country != "morocco"]
    assert western_controls(without_morocco, asked) == {}
    no_control = [one for i, place in enumerate(PLACES[:3]) for one in both(place, "salt", dishes("salt")[:4], i)]
    assert western_controls(pair_variants(no_control).pairs, asked) == {}, "what is left is the answer of morocco"
    same_answer = [pair for pair in pairs if pair.localized.country != "morocco"] + pair_variants(
        both("morocco", "tea", dishes("tea"), 0)
    ).pairs
    assert western_controls(same_answer, asked) == {}


def test_a_fact_has_the_topic_that_most_of_its_rows_name() -> None:
    rows = both("egypt", "tea", ("a", "b"), 0) + both("ksa", "tea", ("a", "b"), 1)
    named = [
        replace(one, topic=topic, category="x") for one, topic in zip(rows, ["food", "drinks", "food", "drinks"], strict=True)
    ]
    pairs = pair_variants(named).pairs
    facts = fact_ids(pairs)
    assert fact_topics(pairs, facts) == {facts[0]: ("drinks", "x")}
    pairs = pair_variants([replace(named[1], topic="food"), *named[::2], named[3]]).pairs
    assert fact_topics(pairs, facts) == {facts[0]: ("food", "x")}
