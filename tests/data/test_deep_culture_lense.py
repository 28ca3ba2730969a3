"""Deep-Culture-Lense from copies in the hub's format, read by the real library: what goes in comes out, dirt is counted."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from yapo.config import SplitConfig
from yapo.data.deep_culture_lense import COUNTRIES, RefusedData, load_deep_culture_lense
from yapo.data.schema import COLUMNS, check_items
from yapo.data.sources import known_countries, load_items, load_items_and_report
from yapo.data.split import leakage_report, split_facts
from yapo.errors import YapoError

from .lense_rows import STATUSES, WORDS, config, dirty, fact, hub_rows, load, plain, question, row, save


def test_every_row_becomes_the_item_it_was_made_from(clean: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    items, report = clean
    assert list(items.columns) == COLUMNS
    assert len(items) == report["items"] == len(hub_rows()) == 2 * 12 * (4 + 2)
    for language in ("Arabic", "Hindi"):
        for word in WORDS[language]:
            answers = fact(language, word)
            for place in COUNTRIES[language]:
                for status, variant in (("localized", "localized"), ("nolocalized", "nonlocalized")):
                    asked = question(language, word, place, status)
                    (item,) = items[(items["question"] == asked) & (items["country"] == place)].to_dict("records")
                    assert (item["variant"], item["language"], item["phrasing"]) == (variant, language, 0)
                    assert sorted(item["options"]) == sorted(answers.values())
                    assert item["answer"] == item["options"][item["answer_index"]] == answers[place]
                    assert item["options"][item["control_index"]] == answers["western"]
                    assert (item["topic"], item["category"]) == ("unknown", "unknown")


def test_both_forms_differ_in_the_question_alone(clean: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    items = plain(clean[0])
    keys = ["country", "question_id", "phrasing"]
    sides = [items[items["variant"] == v].set_index(keys).sort_index() for v in ("localized", "nonlocalized")]
    assert sides[0].index.is_unique
    same = ["language", "topic", "category", "options", "answer_index", "answer", "control_index"]
    pd.testing.assert_frame_equal(sides[0][same], sides[1][same])
    assert (sides[0]["question"] != sides[1]["question"]).all()


def test_siblings_share_the_fact_and_no_split_leaks(clean: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    items, report = clean
    by_fact = items.groupby("question_id")
    assert set(by_fact["country"].agg(lambda places: tuple(sorted(set(places))))) == {COUNTRIES["Arabic"], COUNTRIES["Hindi"]}
    words = items["question"].map(lambda text: next(w for ws in WORDS.values() for w in ws if w in text))
    assert words.groupby(items["question_id"]).nunique().tolist() == [1] * 24
    assert report["facts"] == {
        "facts": 24,
        "by_language": {"Arabic": 12, "Hindi": 12},
        "asked_of_all_siblings": 24,
        "largest": 4,
    }
    leak = leakage_report(items, split_facts(items, SplitConfig()))
    assert leak["shared_facts"] == leak["shared_questions"] == 0
    assert leak["facts"] == {"test": 7, "train": 12, "validation": 5}


def test_a_clean_copy_is_reported_as_clean(clean: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    report = clean[1]
    assert (report["rows"], report["splits"]) == (144, {"train": 108, "test": 36})
    assert report["dropped_examples"] == {}
    assert {name: (own["rows"], own["pairs"], own["dropped"]) for name, own in report["countries"].items()} == {
        place: (24, 12, {}) for place in (*COUNTRIES["Arabic"], *COUNTRIES["Hindi"])
    }
    assert report["boxes"]["first_option_is"] == 1
    assert report["boxes"]["misfits"]["1"] == 0
    assert report["pairs"]["closer_than_a_stranger"] == 1.0
    assert report["questions"] == {"from": "prompt_open_ended", "not_in_the_mcq_prompt": 0}
    assert report["answers_in_words"] == {"rows": 144, "not_an_option": 0}
    assert report["items_with_a_control"] == 144


@pytest.mark.parametrize("option", ["{k}. {text}", "({k}) {text}", "{k}: {text}"])
@pytest.mark.parametrize("base", [0, 1])
def test_boxes_from_0_and_from_1_and_other_styles_give_the_same_items(
    base: int, option: str, clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    items, report = load(hub_rows(base=base, option=option), tmp_path)
    pd.testing.assert_frame_equal(plain(items), plain(clean[0]))
    assert report["boxes"]["first_option_is"] == base


@pytest.mark.parametrize("base", [0, 1])
def test_without_words_the_range_of_the_boxes_decides(base: int, tmp_path: Path) -> None:
    items, report = load(hub_rows(base=base, words=False), tmp_path)
    assert len(items) == 144
    assert report["boxes"]["rows_with_words"] == 0
    assert report["boxes"]["misfits"][str(base)] == 0
    assert report["boxes"]["misfits"][str(1 - base)] > 20


def test_words_decide_where_the_range_does_not(tmp_path: Path) -> None:
    """The control always stands last and is never right: numbers alone fit both ways of counting."""
    rows = [
        row("Arabic", word, place, status) for word in WORDS["Arabic"] for place in COUNTRIES["Arabic"] for status in STATUSES
    ]
    assert {one["chosen-mcq"] for one in rows} == {f"\\boxed{{{k}}}" for k in (1, 2, 3, 4)}
    _, report = load(rows, tmp_path)
    assert report["boxes"]["first_option_is"] == 1
    # By likeness alone: an answer in words that is no option letter for letter.
    loose = [one | {"chosen_open_ended": f"عادة {one['chosen_open_ended']} كل يوم"} for one in rows]
    items, report = load(loose, tmp_path / "loose")
    assert (len(items), report["boxes"]["first_option_is"], report["answers_in_words"]["not_an_option"]) == (96, 1, 96)
    assert report["boxes"]["misfits"] == {"0": 0, "1": 0}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one | {"chosen_open_ended": None}, "fit both, and there are no words"),
        (lambda one: one | {"chosen-mcq": "\\boxed{9}"}, "fit neither"),
        (lambda one: one | {"chosen-mcq": "no box"}, "no boxes at all"),
    ],
)
def test_boxes_that_tell_nothing_are_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], why: str, tmp_path: Path
) -> None:
    rows = [
        row("Arabic", word, place, status) for word in WORDS["Arabic"] for place in COUNTRIES["Arabic"] for status in STATUSES
    ]
    path = save([change(one) for one in rows], tmp_path / "copy")
    with pytest.raises(RefusedData, match=rf"data.path={path}: \d+ of 96 rows .* counts from 0 or from 1; give") as caught:
        load_deep_culture_lense(config(path))
    assert caught.value.report["boxes"]["first_option_is"] is None, why


def test_words_against_the_range_are_refused(tmp_path: Path) -> None:
    """Boxes that only fit from 1, words that speak for counting from 0."""
    rows = hub_rows(base=1)
    for one in rows:
        texts = [line.partition(") ")[2] for line in one["prompt-mcq"].split("\n")[1:]]
        box = int(one["chosen-mcq"][7:-1])
        one["chosen_open_ended"] = f"عادة {texts[box % len(texts)]} कहते हैं"
    path = save(rows, tmp_path / "copy")
    with pytest.raises(RefusedData, match="do not tell whether"):
        load_deep_culture_lense(config(path))


def test_dirt_is_dropped_counted_and_shown(clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    rows, found = dirty()
    items, report = load(rows, tmp_path, max_dropped=0.1)
    assert {name: own["dropped"] for name, own in report["countries"].items()} == found
    assert len(items) == 144 - 2 * 6
    kept = clean[0].merge(items[["question_id", "country"]].drop_duplicates(), on=["question_id", "country"])
    pd.testing.assert_frame_equal(
        plain(items).drop(columns=["options", "answer_index", "control_index"]),
        plain(kept).drop(columns=["options", "answer_index", "control_index"]),
    )
    examples = report["dropped_examples"]
    assert examples["options"] == [
        {
            "row": "train 2",
            "country": "ksa",
            "detail": f"no list of options; option 8 where 3 is expected: '{fact('Arabic', 'الفطور')['egypt']}'",
        }
    ]
    assert examples["box"][0]["detail"] == "no \\boxed{k}: 'the third'"
    assert len(examples["unpaired"]) == 5


def test_facts_that_lost_a_country_have_no_control(tmp_path: Path) -> None:
    """Its answer could be taken for the control."""
    rows, _ = dirty()
    items, report = load(rows, tmp_path, max_dropped=0.1)
    partial = items.groupby("question_id")["country"].transform("nunique") < items["language"].map({"Arabic": 4, "Hindi": 2})
    assert (items.loc[partial, "control_index"] == -1).all()
    assert (items.loc[~partial, "control_index"] >= 0).all()
    assert report["items_with_a_control"] == int((~partial).sum()) == 22 * 6


def test_too_much_dirt_is_refused_with_the_report(tmp_path: Path) -> None:
    rows, found = dirty()
    path = save(rows, tmp_path / "copy")
    message = f"data.path={path}: egypt loses 8.3% of its rows (empty 1, unpaired 1), more than data.max_dropped=0.05; "
    with pytest.raises(RefusedData, match=re.escape(message)) as caught:
        load_deep_culture_lense(config(path))
    assert {name: own["dropped"] for name, own in caught.value.report["countries"].items()} == found


def test_duplicates_alone_are_no_loss(tmp_path: Path) -> None:
    rows = hub_rows(facts=3)
    items, report = load([*rows, *rows], tmp_path, max_dropped=0.0)
    assert len(items) == len(rows)
    assert {name: own["dropped"] for name, own in report["countries"].items()} == {
        key: {"duplicate": 6} for key in report["countries"]
    }


def test_rows_without_a_partner_alone_are_refused(tmp_path: Path) -> None:
    rows = [one for one in hub_rows() if one["localization_status"] == "localized"]
    with pytest.raises(RefusedData, match=r"egypt loses 100.0% of its rows \(unpaired 12\)"):
        load_deep_culture_lense(config(save(rows, tmp_path / "copy")))


def test_pairs_that_the_questions_contradict_are_refused(tmp_path: Path) -> None:
    """The non-localized prompts slip by one fact against their options."""
    rows = hub_rows(["English"])
    for one in rows:
        if one["localization_status"] == "nolocalized":
            word = next(word for word in WORDS["English"] if word in one["prompt_open_ended"])
            other = WORDS["English"][(WORDS["English"].index(word) + 1) % 12]
            one["prompt_open_ended"] = one["prompt_open_ended"].replace(word, other)
    with pytest.raises(RefusedData, match=r"only \d+% of the pairs are more alike in their questions than strangers are"):
        load_deep_culture_lense(config(save(rows, tmp_path / "copy")))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_does_not_matter(seed: int, clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    rows = hub_rows()
    random.Random(seed).shuffle(rows)
    items, _ = load(rows, tmp_path)
    same = [name for name in items if name not in ("options", "answer_index", "control_index")]
    pd.testing.assert_frame_equal(items[same], clean[0][same])


def test_the_same_copy_gives_the_same_items_and_the_seed_orders_the_options(
    clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    path = save(hub_rows(), tmp_path / "copy")
    again = load_items_and_report(config(path))
    pd.testing.assert_frame_equal(plain(again[0]), plain(clean[0]))
    assert again[1] == clean[1] | {"source": str(path)}
    other = load_items(config(path, seed=1))
    assert not other["answer_index"].equals(clean[0]["answer_index"])
    assert other["options"].map(frozenset).tolist() == clean[0]["options"].map(frozenset).tolist()


def test_an_answer_that_always_stands_first_does_not_stay_there(tmp_path: Path) -> None:
    """Without a shuffle of its own the data would give every country one number to learn."""
    rows = [row("Hindi", word, place, status) for word in WORDS["Hindi"] for place in COUNTRIES["Hindi"] for status in STATUSES]
    items, report = load(rows, tmp_path)
    assert [own["answer_at"] for own in report["countries"].values()] == [{"1": 12}, {"2": 12}]
    assert (items.groupby("country")["answer_index"].nunique() == 3).all()


def test_topics_are_taken_where_they_are_there(tmp_path: Path) -> None:
    rows = [one | {"topic": f"topic {i // 24}", "category": "food"} for i, one in enumerate(hub_rows(["Arabic"]))]
    rows[0]["topic"] = "a slip"
    items, report = load(rows, tmp_path)
    assert items.groupby("question_id")["topic"].nunique().tolist() == [1] * 12
    assert set(items["topic"]) == {f"topic {i}" for i in range(4)}
    assert set(items["category"]) == {"food"}
    assert report["topics"] == 4
    train = split_facts(items, SplitConfig()).query("split == 'train'")["question_id"]
    assert items[items["question_id"].isin(train)]["topic"].nunique() == 4


@pytest.mark.parametrize("columns", [["prompt_open_ended"], ["chosen_open_ended"], ["prompt_open_ended", "chosen_open_ended"]])
def test_the_question_also_comes_from_the_other_prompts(
    columns: list[str], clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    rows = [{name: cell for name, cell in one.items() if name not in columns} for one in hub_rows()]
    items, _ = load(rows, tmp_path)
    pd.testing.assert_frame_equal(plain(items), plain(clean[0]))
    named = [{("prompt" if name == "prompt_open_ended" else name): cell for name, cell in one.items()} for one in hub_rows()]
    items, report = load(named, tmp_path / "named")
    pd.testing.assert_frame_equal(plain(items), plain(clean[0]))
    assert report["questions"]["from"] == "prompt"


def test_one_question_with_other_options_is_another_wording_of_the_fact(tmp_path: Path) -> None:
    """Siblings' options differ in one place; a country is asked a second question with the same options."""
    rows = hub_rows(["Hindi"], facts=3)
    more = [one | {"prompt_open_ended": "और " + one["prompt_open_ended"].replace("क्या करते", "क्या कहते")} for one in rows[:2]]
    changed = [
        one | {"prompt-mcq": one["prompt-mcq"].replace("पश्चिमी ढंग का", "यूरोपीय ढंग का")} if one["country"] == "nepal" else one
        for one in rows
    ]
    items, report = load([*changed, *more], tmp_path)
    assert items["question_id"].nunique() == 3
    assert report["pairs"]["chosen_by_similarity"] == 2
    assert items[items["country"] == "india"].groupby("question_id")["phrasing"].max().tolist().count(1) == 1
    check_items(items, "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one | {"country": "france"}, r"train 0: country=france: unknown country; .*choose among usa, uk"),
        (lambda one: one | {"country": None}, r"train 0: country=: unknown country"),
        (lambda one: one | {"country": "Egipt"}, r"country=Egipt: unknown country; did you mean egypt\?"),
        (lambda one: one | {"localization_status": "local"}, "localization_status=local: unknown form; did you mean localized?"),
        (
            lambda one: {n: c for n, c in one.items() if n != "chosen-mcq"},
            "no column chosen-mcq; .*found chosen_open_ended, country",
        ),
        (
            lambda one: {("prompt_mcq" if n == "prompt-mcq" else n): c for n, c in one.items()},
            r"no column prompt-mcq; did you mean prompt_mcq\?",
        ),
        (lambda one: {"text": one["prompt-mcq"]}, "no column prompt-mcq, chosen-mcq, country, localization_status; found text"),
    ],
)
def test_other_data_are_refused_by_name(change: Callable[[dict[str, Any]], dict[str, Any]], message: str, tmp_path: Path) -> None:
    path = save([change(one) for one in hub_rows(facts=2)], tmp_path / "copy")
    with pytest.raises(YapoError, match=message) as caught:
        load_items(config(path))
    assert "\n" not in str(caught.value)


def test_case_and_spaces_of_the_keys_do_not_matter(clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    rows = [
        one | {"country": f" {one['country'].title()} ", "localization_status": one["localization_status"].upper()}
        for one in hub_rows()
    ]
    path = save(rows, tmp_path / "copy")
    pd.testing.assert_frame_equal(plain(load_items(config(path))), plain(clean[0]))
    assert known_countries(config(path)) == dict.fromkeys(COUNTRIES["Arabic"], "arabic") | dict.fromkeys(
        COUNTRIES["Hindi"], "hindi"
    )
