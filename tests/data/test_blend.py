"""BLEnD's multiple choice as items, from a small file in the published format."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapo.config import DataConfig
from yapo.data.blend import MOST_SETS, load_blend
from yapo.data.sources import known_countries, load_items_and_report
from yapo.data.text import text_key

from .published_rows import SNACKS, Change, blend_row, blend_rows, first, refuses, refuses_places, without, write

FILE = "mc_questions_file_v1.1"


@pytest.mark.parametrize("place", ["mc.json", "mc.jsonl", "mc.csv", "mc.parquet", f"data/mc_questions_hf/{FILE}.json"])
def test_a_file_and_a_copy_of_the_hub_give_the_same_items(tmp_path: Path, place: str) -> None:
    path = Path(write(tmp_path / "copy" / place, blend_rows()))
    write(tmp_path / "copy" / "data" / "annotations_hf" / "UK_data.json", [{"ID": "Al-en-01"}])
    given = tmp_path / "copy" if "/" in place else path
    config = DataConfig(source="blend", path=str(given))
    items, report = load_items_and_report(config)
    assert report == {"rows": 15, "dropped": {}}
    assert known_countries(config) == {"uk": "english", "spain": "english", "north_korea": "english"}
    assert items.groupby("country").size().to_dict() == {"north_korea": 5, "spain": 5, "uk": 5}
    assert set(items["variant"]) == {"localized"}
    assert set(items["question_id"]) == {"Al-en-01", "Al-en-02"}
    snack = items[(items["country"] == "uk") & (items["question_id"] == "Al-en-01")]
    assert set(snack["question"]) == {"What is a common snack for preschool kids in the UK?"}
    assert set(snack["answer"]) == {"crisps"}
    assert sorted(snack["phrasing"]) == [0, 1, 2, 3]


def test_the_seed_orders_the_options_which_the_alphabet_did(tmp_path: Path) -> None:
    path = write(tmp_path / "mc.json", blend_rows())
    items, other = (load_blend(path, seed)[0] for seed in (0, 1))
    published = [sorted(options, key=text_key) for options in items["options"]]
    assert items["options"].tolist() != published
    assert items["options"].tolist() != other["options"].tolist()
    assert load_blend(path, 0)[0].equals(items)


def test_the_western_option_is_the_control(tmp_path: Path) -> None:
    items, _ = load_blend(write(tmp_path / "mc.json", blend_rows()), 0)
    for item in items.to_dict("records"):
        texts = [item["options"][item["control_index"]]] if item["control_index"] >= 0 else []
        western = {"goldfish crackers", "baseball", "crisps"} & set(item["options"])
        if item["country"] == "uk":
            assert texts == []
        elif western:
            assert texts[0] in western
            assert texts[0] != "crisps" or "goldfish crackers" not in item["options"]


def test_no_more_sets_of_options_than_the_paper_takes(tmp_path: Path) -> None:
    others = [name for name in SNACKS if name != "UK"]
    rows = [
        blend_row("What in the UK?", "UK", {"UK": "tea", others[i]: "a", others[j]: f"{i} {j}", "dummy": "z"}, number=10 * i + j)
        for i in range(4)
        for j in range(4)
        if i != j and "dummy" not in (others[i], others[j])
    ]  # fmt: skip
    again = [*rows, {**rows[0], "MCQID": "again"}]
    items, report = load_blend(write(tmp_path / "mc.json", again), 0)
    assert len(items) == MOST_SETS
    assert sum(report["dropped"].values()) == len(again) - MOST_SETS
    assert report["dropped"][f"more than {MOST_SETS} sets of options"] >= len(rows) - MOST_SETS


def test_options_that_cannot_be_offered_are_dropped(tmp_path: Path) -> None:
    rows = blend_rows()
    rows[0]["choices"] = '{"A": "bread", "B": "Bread.", "C": "crisps", "D": "corn"}'
    _, report = load_blend(write(tmp_path / "mc.json", rows), 0)
    assert report["dropped"] == {"an option stands there twice": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("choices"), "lacks the columns choices; give nayeon212/BLEnD"),
        (without("answer_idx"), "lacks the columns answer_idx"),
        (first(country="Atlantis"), "row 1: country=Atlantis: unknown country"),
        (first(country=None), "row 1: country is None; give the name of a country"),
        (first(answer_idx="E"), "row 1: answer_idx is 'E'; give one of A, B, C, D"),
        (first(answer_idx=1), "row 1: answer_idx is 1; give one of"),
        (first(prompt="What is a snack?"), "row 1: prompt has no Without any explanation"),
        (first(prompt=None), "row 1: prompt is None; give a text"),
        (first(choices="A. bread"), "row 1: choices is 'A. bread'; give texts by letter"),
        (first(choices='["a", "b"]'), "row 1: choices is"),
        (first(choices='{"A": "a", "B": "b"}'), "row 1: choices are A, B, countries A, B, C, D; give A to D in both"),
        (first(choice_countries='{"A": 1}'), "row 1: choice_countries is"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    refuses(lambda path: load_blend(path, 0), tmp_path / "mc.json", blend_rows(), change, message)


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    refuses_places(lambda path: load_blend(path, 0), tmp_path)
