"""Single steps of curation on small candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from yapo.config.conf_files import ROOT
from yapo.config.curation import DuplicatesConfig
from yapo.curation.choices import make_choices
from yapo.curation.duplicates import decide, drop_near_duplicates, near_pairs
from yapo.curation.embeddings import ModelEmbedder, NgramEmbedder, get_embedder, nearest_earlier, similarities
from yapo.curation.existence import filter_existence
from yapo.curation.form import read_answers
from yapo.curation.places import load_places
from yapo.curation.review import read_review, review_text
from yapo.curation.text_checks import in_language, in_script, refuses, repeats
from yapo.curation.variants import differ_only_by, localized_form, make_variants, without_slot
from yapo.data.atlas import load_atlas

PLACES = load_places(ROOT / "world" / "curation" / "places.yaml")
MODEL = str(ROOT / "world" / "model")


def candidates(answers: dict[str, dict[str, str]], control: str = "Toast", **columns: str) -> pd.DataFrame:
    """Candidates in English: the answer of each country, by question."""
    given = {"language": "English", "topic": "lunch", "category": "Meals", "text": "{country}, what?", "nonlocalized": ""}
    rows = [
        {**given, **columns, "question_id": question, "country": country, "answer": answer, "control": control}
        for question, by_country in answers.items()
        for country, answer in by_country.items()
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        ('{"egypt": "ful", "western": null}', {"egypt": "ful", "western": None}),
        ('Sure!\n```json\n{"egypt": "ful"}\n```', {"egypt": "ful"}),
        ('<think>{"egypt": "x"}</think>{"egypt": "ful"}', {"egypt": "ful"}),
        ('{"egypt": "ful"} {"egypt": "ful"}', {"egypt": "ful"}),
        ('{"egypt": "ful"} {"egypt": "koshari"}', None),
        ('{"egypt": ["ful"]}', None),
        ('{"egypt": "ful", "egypt": "koshari"}', None),
        ('{"egypt": "ful"', None),
        ("{}", None),
        ('{"egypt": "\\ud800"}', None),
        ('{"egypt": "ful\\u0000"}', None),
        ('{"\\udfff": "ful"}', None),
        ("", None),
    ],
)
def test_replies(reply: str, answers: dict[str, str | None] | None) -> None:
    assert read_answers(reply) == answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("la la la", False),
        ("la la la la", True),
        ("meat pies, meat pies", False),
        ("one two one two one two", True),
        ("bread and tea", False),
    ],
)
def test_repetition(text: str, expected: bool) -> None:
    assert repeats(text) is expected


def test_scripts_and_languages() -> None:
    english, spanish = PLACES["English"], PLACES["Spanish"]
    assert in_script("فول مع Pepsi", "ARABIC")
    assert not in_script("Pepsi مع", "ARABIC")
    assert in_script("7-8", "ARABIC")
    assert not in_language("Un café con los amigos", english, PLACES.values())
    assert in_language("Un café con los amigos", spanish, PLACES.values())
    assert in_language("Tacos al pastor", english, PLACES.values())  # no word of grammar that is not English's too
    assert refuses("Lo siento, pero no puedo", spanish)
    assert refuses("I don’t know", english)
    assert not refuses("A sorry sight", english)


def test_refusals_count_in_any_language() -> None:
    outcome = filter_existence(
        candidates({"q": {"mexico": "I can’t help with that.", "spain": "Pan"}}, language="Spanish"), PLACES, 3
    )
    assert outcome.dropped[["country", "reason"]].values.tolist() == [["mexico", "refusal"]]


@pytest.mark.parametrize("answer", ["", " ", "-", "...", "N/A", "null.", "Unknown"])
def test_what_stands_for_no_answer_is_none(answer: str) -> None:
    outcome = filter_existence(candidates({"q": {"usa": answer, "uk": "7"}}), PLACES, max_repeats=3)
    assert outcome.dropped[["country", "reason"]].values.tolist() == [["usa", "no_answer"]]


def test_no_answer_of_the_atlas_is_taken_for_a_fault() -> None:
    """But for answers that name a place: those are for a later step."""
    rows = pd.DataFrame(
        [
            {"language": language.name, "question_id": fact.question_id, "country": country, "topic": fact.topic}
            | {"answer": fact.answers[country], "control": fact.answers["western"]}
            for language in load_atlas().values()
            for fact in language.facts
            for country in language.contexts
        ]
    )
    outcome = filter_existence(rows, PLACES, max_repeats=3)
    assert outcome.dropped.empty, outcome.dropped["detail"].tolist()
    assert len(outcome.kept) == 1560


def test_an_answer_to_too_many_questions() -> None:
    rows = candidates({f"q{n}": {"uk": "It depends", "usa": f"Answer {n}"} for n in range(4)})
    assert filter_existence(rows, PLACES, max_repeats=4).dropped.empty
    dropped = filter_existence(rows, PLACES, max_repeats=3).dropped
    assert dropped[["country", "reason"]].values.tolist() == [["uk", "repeated_answer"]] * 4


def test_equal_answers_exclude_both_and_are_no_option() -> None:
    rows = candidates({"q": {"usa": "Burger", "uk": "Pie", "australia": "pie."}})
    outcome = make_choices(rows, min_options=2, seed=0)
    assert outcome.dropped[["country", "reason"]].values.tolist() == [["uk", "equal_options"], ["australia", "equal_options"]]
    assert sorted(outcome.kept["options"].item()) == ["Burger", "Toast"]
    assert make_choices(rows, min_options=3, seed=0).kept.empty


def test_positions_of_the_answer_are_spread_and_follow_the_seed() -> None:
    rows = candidates({f"q{n}": {"usa": f"a{n}", "uk": f"b{n}", "australia": f"c{n}"} for n in range(200)})
    first, again, other = (make_choices(rows, 3, seed).kept for seed in (0, 0, 1))
    assert first["options"].tolist() == again["options"].tolist() != other["options"].tolist()
    assert (first["answer_index"].value_counts(normalize=True) - 0.25).abs().max() < 0.06
    for row in first.to_dict("records"):
        assert row["options"][row["answer_index"]] == row["answer"]
        assert row["options"][row["control_index"]] == "Toast"


@pytest.mark.parametrize("dense", [False, True])
def test_each_text_meets_the_earlier_one_most_like_it(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block, against the whole matrix."""
    monkeypatch.setattr("yapo.curation.embeddings.ROWS", 7)
    texts = [fact.questions[0] for fact in load_atlas()["english"].facts][:60]
    vectors = NgramEmbedder().embed([*texts, texts[3]])
    whole = vectors.toarray()
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    cosines = whole @ whole.T
    best = [(int(cosines[row, :row].argmax()), row) for row in range(1, 61)]
    expected = [(i, j, float(cosines[i, j])) for i, j in best if cosines[i, j] >= 0.4]
    found = list(nearest_earlier(whole if dense else vectors, 0.4))
    assert [(i, j) for i, j, _ in found] == [(i, j) for i, j, _ in expected]
    assert [value for *_, value in found] == pytest.approx([value for *_, value in expected], abs=1e-6)
    assert (len(expected) > 10, found[-1][:2]) == (True, (3, 60))
    assert similarities(vectors[:5], vectors[5:10]) == pytest.approx(np.diag(cosines[:5, 5:10]), abs=1e-6)


def test_embeddings_of_a_model_are_the_mean_of_its_last_states() -> None:
    texts = ["what do people eat", "tea", "what is it that people drink in the morning"]
    made = ModelEmbedder(MODEL, batch_size=2).embed(texts)
    model, tokenizer = AutoModel.from_pretrained(MODEL).eval(), AutoTokenizer.from_pretrained(MODEL)
    for text, row in zip(texts, made, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert row == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_near_duplicates_by_a_model() -> None:
    rows = make_choices(candidates({"q": {"usa": "a big burger", "uk": "a pie", "australia": "a  big burgers"}}), 2, 0).kept
    embedder = get_embedder(DuplicatesConfig(embedding="model", model=MODEL))
    (best, *_) = sorted(near_pairs(rows, embedder, 0.1), key=lambda pair: -pair.similarity)
    assert {best.country_1, best.country_2} == {"usa", "australia"}


def test_a_review_decides(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = candidates(
        {"q1": {"usa": "hamburger", "uk": "pie", "australia": "hamburgers"}, "q2": {"usa": "a", "uk": "b", "australia": "c"}}
    )
    rows.loc[rows["question_id"] == "q2", "text"] = "{country}, what??"
    rows = make_choices(rows, 2, 0).kept
    pairs = near_pairs(rows, NgramEmbedder(), 0.5)
    assert [(pair.kind, pair.country_1, pair.country_2) for pair in pairs] == [
        ("options", "usa", "australia"),
        ("questions", "", ""),
    ]
    decisions = decide(pairs, 0.8, {})
    dropped = drop_near_duplicates(rows, decisions, 2, 0).dropped
    assert set(zip(dropped["question_id"], dropped["country"], strict=True)) == {
        ("q1", "usa"), ("q1", "australia"), ("q2", "usa"), ("q2", "uk"), ("q2", "australia"),
    }  # fmt: skip
    path = tmp_path_factory.mktemp("review") / "review.csv"
    path.write_text(review_text(decisions).replace("drop\n", "keep\n", 1), encoding="utf-8")
    reviewed = read_review(path, pairs)
    assert sorted(reviewed.values()) == ["drop", "keep"]
    assert decide(pairs, 0.8, reviewed) == dict(zip(pairs, ("drop", "keep"), strict=True))
    assert drop_near_duplicates(rows, decide(pairs, 0.8, reviewed), 2, 0).dropped["question_id"].tolist() == ["q1", "q1"]


def test_a_dropped_option_is_offered_no_more() -> None:
    rows = make_choices(candidates({"q": {"usa": "Hamburger", "uk": "Pie", "australia": "Hamburgers"}}), 2, 0).kept
    outcome = drop_near_duplicates(rows, decide(near_pairs(rows, NgramEmbedder(), 0.5), 0.8, {}), 2, 0)
    assert [sorted(options) for options in outcome.kept["options"]] == [["Pie", "Toast"]]


@pytest.mark.parametrize(
    ("text", "place", "localized", "nonlocalized"),
    [
        ("{country}, what do people eat?", "in Egypt", "In Egypt, what do people eat?", "What do people eat?"),
        ("What do people {country} eat?", "in Egypt", "What do people in Egypt eat?", "What do people eat?"),
        ("What do people eat {country}?", "in Egypt", "What do people eat in Egypt?", "What do people eat?"),
        ("At dusk, {country}, who cooks?", "in Egypt", "At dusk, in Egypt, who cooks?", "At dusk, who cooks?"),
        ("{country}، ماذا يأكل الناس؟", "في مصر", "في مصر، ماذا يأكل الناس؟", "ماذا يأكل الناس؟"),
        ("{country}, ¿qué se bebe?", "en México", "En México, ¿qué se bebe?", "¿Qué se bebe?"),
        ("{country} लोग क्या खाते हैं?", "भारत में", "भारत में लोग क्या खाते हैं?", "लोग क्या खाते हैं?"),
    ],
)
def test_forms(text: str, place: str, localized: str, nonlocalized: str) -> None:
    assert localized_form(text, place) == localized
    assert without_slot(text) == nonlocalized
    assert differ_only_by(localized, nonlocalized, place)


@pytest.mark.parametrize(
    ("localized", "nonlocalized"),
    [
        ("What do people in Egypt eat?", "What does one eat?"),
        ("What do people in Egypt eat?", "What do people in Egypt eat?"),
        ("What do people in Egypt eat at dawn?", "What do people eat?"),
        ("What in Egypt do people eat in Egypt?", "What do people eat?"),
    ],
)
def test_forms_that_differ_in_more(localized: str, nonlocalized: str) -> None:
    assert not differ_only_by(localized, nonlocalized, "in Egypt")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": "{country}, what do Londoners and the English eat?"}, "question_names_country"),
        ({"text": "What do people {country} eat?", "nonlocalized": "What do Americans eat?"}, "question_names_country"),
        ({"text": "What do people {country} eat?", "nonlocalized": "What would you eat?"}, "forms_differ"),
        ({"control": "English muffin"}, "answer_names_country"),
    ],
)
def test_leaks_of_a_question_drop_it_for_all_countries(columns: dict[str, str], reason: str) -> None:
    control = columns.pop("control", "Toast")
    rows = candidates({"q": {"usa": "Burger", "uk": "Pie"}}, control, **columns)
    dropped = make_variants(make_choices(rows, 2, 0).kept, PLACES, 2, 0).dropped
    assert dropped[["country", "reason"]].values.tolist() == [["usa", reason], ["uk", reason]]


def test_an_answer_that_names_a_place_is_no_option_for_others() -> None:
    rows = candidates({"q": {"usa": "Burger", "uk": "Yorkshire pudding in London", "australia": "Lamington"}})
    outcome = make_variants(make_choices(rows, 2, 0).kept, PLACES, 2, 0)
    assert outcome.dropped[["country", "reason"]].values.tolist() == [["uk", "answer_names_country"]]
    assert [sorted(options) for options in outcome.kept["options"]] == [["Burger", "Lamington", "Toast"]] * 2


@pytest.mark.parametrize(
    ("language", "text", "named"),
    [
        ("Arabic", "أكلة والمصريين", "والمصريين"),
        ("Arabic", "للمغاربة", "للمغاربة"),
        ("Arabic", "مصروف اليوم", ""),
        ("English", "Give it to us", ""),
        ("English", "Made in the U.S.", "u.s"),
        ("Hindi", "भारतीय खाना", "भारतीय"),
        ("Spanish", "pan", ""),
        ("Portuguese", "um PASTEL PORTUGUÊS", "português"),
    ],
)
def test_names_in_texts(language: str, text: str, named: str) -> None:
    assert PLACES[language].named_in(text) == named
