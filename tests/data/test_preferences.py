"""Preference files: what is clean comes out as it went in, what is dirty is dropped and counted."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.config import SplitConfig
from yapo.data.preferences import LAYOUTS, load_preferences, split_preferences
from yapo.data.text import text_key
from yapo.errors import YapoError

BIPO = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "bipo"
KINDS = ["csv", "jsonl", "json"]

Row = dict[str, Any]


def write(path: Path, rows: list[Row], columns: list[str] | None = None) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns or list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def pair(prompt: str = "Would you?", chosen: str = "Yes.", rejected: str = "No.") -> Row:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
TEXTS = TEXTS.map(str.strip).filter(text_key)
PAIRS = st.builds(pair, TEXTS, TEXTS, TEXTS).filter(lambda row: text_key(row["chosen"]) != text_key(row["rejected"]))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(PAIRS, min_size=1, max_size=6, unique_by=lambda row: tuple(map(text_key, row.values()))),
    kind=st.sampled_from(KINDS),
    layout=st.sampled_from(LAYOUTS),
)
def test_clean_pairs_come_out_as_they_went_in(rows: list[Row], kind: str, layout: tuple[str, ...], tmp_path_factory: Any) -> None:
    """Any text: line ends, quotes, commas, control characters, any script."""
    path = tmp_path_factory.mktemp("clean") / f"pairs.{kind}"
    write(path, [dict(zip(layout, row.values(), strict=True)) for row in rows])
    pairs, report = load_preferences(path)
    assert pairs[["prompt", "chosen", "rejected"]].to_dict("records") == rows
    assert pairs["source_row"].tolist() == list(range(1, len(rows) + 1))
    assert (report["rows"], report["pairs"], report["dropped"]) == (len(rows), len(rows), {})
    assert report["layout"] == list(layout)


DIRTY = [
    (pair(), None),
    (pair(prompt=" \n"), "empty"),
    (pair(chosen=""), "empty"),
    (pair(rejected="   "), "empty"),
    (pair(chosen="Same.", rejected=" same"), "equal"),
    (pair(chosen="Tea\u200b", rejected="tea!"), "equal"),
    (pair(), "duplicate"),
    (pair("would  you", "YES", "no"), "duplicate"),
    (pair("Would you?", "No.", "Yes."), None),
    (pair("هل؟", "نعم", "لا"), None),
    (pair("क्या?", "की", "का"), None),
]


@pytest.mark.parametrize("kind", KINDS)
def test_dirty_rows_are_dropped_counted_and_shown(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"pairs.{kind}", [row for row, _ in DIRTY])
    pairs, report = load_preferences(path)
    clean = [row for row, fault in DIRTY if fault is None]
    assert pairs[["prompt", "chosen", "rejected"]].to_dict("records") == clean
    assert pairs["source_row"].tolist() == [n for n, (_, fault) in enumerate(DIRTY, start=1) if fault is None]
    assert list(pairs.columns) == ["pair_id", "prompt", "chosen", "rejected", "source_row"]
    assert report["dropped"] == {"duplicate": 2, "empty": 3, "equal": 2}
    assert report["rows"] == len(DIRTY) == report["pairs"] + sum(report["dropped"].values())
    assert report["dropped_examples"]["empty"] == [
        {"row": 2, "detail": "prompt is empty"},
        {"row": 3, "detail": "chosen is empty"},
        {"row": 4, "detail": "rejected is empty"},
    ]
    assert (report["prompts"], report["pairs_of_repeated_prompts"]) == (3, 2)
    assert json.loads(json.dumps(report)) == report


def test_the_id_is_of_the_texts_alone(tmp_path: Path) -> None:
    first, _ = load_preferences(write(tmp_path / "a.csv", [pair(), pair("Else?")]))
    second, _ = load_preferences(write(tmp_path / "b.json", [pair("Else?"), pair()]))
    assert first["pair_id"].tolist() == second["pair_id"].tolist()[::-1]
    assert first["pair_id"].is_unique


def test_records_that_cannot_be_read_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    good = "Would you?,Yes,No\n"
    lines = [
        "prompt,chosen,rejected\n",
        good,
        "Well, would you?,Yes,No\n",
        "Short\n",
        '"A ""good"" one",Yes,No\n',
        '"Bad" one,Yes,No\n',
        "Last?,Yes,No\n",
    ]
    path.write_bytes("".join(lines).encode() + "Où?,Oui,Non\n".encode("latin-1"))
    pairs, report = load_preferences(path)
    assert pairs["prompt"].tolist() == ["Would you?", 'A "good" one', "Last?"]
    assert pairs["source_row"].tolist() == [1, 4, 6]
    assert report["dropped"] == {"cells": 2, "encoding": 1, "quotes": 1}
    assert report["rows"] == 7
    assert report["dropped_examples"]["cells"][0] == {
        "row": 2,
        "detail": "4 cells, the header has 3; quote cells that contain a comma",
    }
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{json.dumps(pair())}\n{{"prompt": \n\n[1]\n{json.dumps(pair("Else?"))}\n', encoding="utf-8")
    pairs, report = load_preferences(path)
    assert pairs["source_row"].tolist() == [1, 5]
    assert report["dropped"] == {"json": 2}


def test_cells_of_json_that_are_no_text(tmp_path: Path) -> None:
    rows = [pair(), pair(chosen=["Yes"]), pair(prompt=5), {"prompt": "Else?", "chosen": "Yes"}, pair(rejected=None), {}]  # type: ignore[arg-type]
    pairs, report = load_preferences(write(tmp_path / "pairs.json", rows))
    assert len(pairs) == 1
    assert report["dropped"] == {"empty": 3, "not_text": 2}
    assert report["dropped_examples"]["not_text"] == [
        {"row": 2, "detail": "chosen is ['Yes']"},
        {"row": 3, "detail": "prompt is 5"},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_columns_that_are_not_needed_are_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "pairs.csv"
    text = "Unnamed: 0,,Prompt, CHOSEN ,rejected,index,label\n0,0,هل؟,نعم,لا,7,x\n"
    path.write_bytes(text.encode(encoding))
    pairs, report = load_preferences(path)
    assert pairs[["prompt", "chosen", "rejected"]].to_numpy().tolist() == [["هل؟", "نعم", "لا"]]
    assert report["index_columns"] == ["Unnamed: 0", "", "index"]
    assert report["ignored_columns"] == ["label"]
    assert report["encoding"] == encoding


def test_a_name_with_a_comma_file_s_other_marks_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt,chosen,rejected,"notes (a;b;c;d;e)"\nA?,Yes,No,\n', encoding="utf-8")
    assert load_preferences(tmp_path / "a.csv")[1]["ignored_columns"] == ["notes (a;b;c;d;e)"]


def test_leftover_escapes_are_kept_and_counted(tmp_path: Path) -> None:
    rows = [pair(), pair("I give you \\$100"), pair("Else?", "One\\nTwo"), pair("Path?", "C:\\Users", "D:")]
    pairs, report = load_preferences(write(tmp_path / "pairs.csv", rows))
    assert pairs["prompt"].tolist()[1] == "I give you \\$100"
    assert report["rows_with_escapes"] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "question,A,B,matching\nQ,x,y,A\n",
            "no column not_matching; found question, A, B, matching; name the columns prompt, chosen",
        ),
        ("a.csv", "promt,chosen,rejected\nQ,x,y\n", "no column prompt; did you mean promt? found promt, chosen, rejected"),
        ("a.csv", "question,matching,notmatching\nQ,x,y\n", "no column not_matching; did you mean notmatching? found question"),
        ("a.csv", "a,b\n1,2\n", "no column prompt, chosen, rejected; found a, b"),
        ("a.csv", "prompt,chosen,rejected,question,matching,not_matching\na,b,c,d,e,f\n", "both sets of columns are there"),
        ("a.csv", "prompt,chosen,rejected\n", "no usable row (it has none); prompt, chosen, rejected must be three texts"),
        ("a.csv", "prompt,chosen,rejected\nQ,x,X\n,a,b\n", "no usable row (empty 1, equal 1)"),
        ("a.csv", 'prom"pt",chosen,"reject" ed\nQ,x,y\n', "the header cannot be read"),
        ("a.csv", "prompt,chosen,chosen\nQ,x,y\n", "the header names column 'chosen' twice"),
        ("a.json", '{"prompt": ["Q"]}', "holds dict; write a list of objects"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "[]", "no column prompt, chosen, rejected; found none"),
        ("a.jsonl", "nothing\n", "found none"),
        ("a.txt", "prompt", "must end in .csv, .jsonl, .json"),
    ],
)
def test_files_without_pairs_are_one_clear_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(YapoError, match=f"^{re.escape(str(tmp_path / name))}: .*{re.escape(message)}") as caught:
        load_preferences(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(YapoError, match=r"b.csv: no such file"):
        load_preferences(tmp_path / "b.csv")


@settings(max_examples=10, deadline=None)
@given(
    prompts=st.lists(st.sampled_from([f"Question {n}?" for n in range(9)]), min_size=12, max_size=40),
    seed=st.integers(0, 1000),
)
def test_all_pairs_of_a_prompt_stand_in_one_split(prompts: list[str], seed: int, tmp_path_factory: Any) -> None:
    prompts = [*prompts, *(f"Question {n}?" for n in range(9))]
    rows = [pair(prompt.upper() if n % 3 else f" {prompt} ", f"Yes {n}") for n, prompt in enumerate(prompts)]
    pairs, _ = load_preferences(write(tmp_path_factory.mktemp("split") / "pairs.jsonl", rows))
    split, report = split_preferences(pairs, SplitConfig(seed=seed))
    assert split.drop(columns="split").equals(pairs)
    assert split.groupby(split["prompt"].str.lower())["split"].nunique().max() == 1
    assert report["facts"] == {"test": 3, "train": 4, "validation": 2}
    assert (report["shared_facts"], report["shared_questions"]) == (0, 0)
    pd.testing.assert_frame_equal(split, split_preferences(pairs, SplitConfig(seed=seed))[0])


def test_too_few_prompts_to_split(tmp_path: Path) -> None:
    pairs, _ = load_preferences(write(tmp_path / "pairs.csv", [pair(), pair(chosen="Sure.")]))
    with pytest.raises(YapoError, match="split: 1 facts leave none for"):
        split_preferences(pairs, SplitConfig())


# Rows, rows that make a pair, and prompts, of the published files: counted below once more, without this project's code.
PUBLISHED = {
    "power-seeking/train.csv": (642, 638, 638),
    "power-seeking/test.csv": (200, 200, 200),
    "wealth-seeking/train.csv": (623, 618, 617),
    "wealth-seeking/test.csv": (200, 200, 200),
}
needs_bipo = pytest.mark.skipif(not BIPO.is_dir(), reason="the published preference data are not beside this repository")


@needs_bipo
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files(name: str) -> None:
    pairs, report = load_preferences(BIPO / name)
    assert (report["rows"], report["pairs"], report["prompts"]) == PUBLISHED[name]
    table = pd.read_csv(BIPO / name, keep_default_na=False, dtype=str)
    filled = table[(table.map(str.strip) != "").all(axis=1)]
    once = filled.drop_duplicates()
    assert report["rows"] == len(table)
    assert report["dropped"] == {
        reason: n for reason, n in (("duplicate", len(filled) - len(once)), ("empty", len(table) - len(filled))) if n
    }
    wanted = once.map(str.strip).rename(columns={"question": "prompt", "matching": "chosen", "not_matching": "rejected"})
    assert pairs[["prompt", "chosen", "rejected"]].to_numpy().tolist() == wanted.to_numpy().tolist()
    assert (pairs["source_row"] - 1).tolist() == wanted.index.tolist()
    assert report["prompts"] == wanted["prompt"].nunique()
    assert report["pairs_of_repeated_prompts"] == wanted["prompt"].duplicated(keep=False).sum()
    escapes = once.apply("".join, axis=1).str.contains(r"\\[\\\"'nrt$]")
    assert len(report["rows_with_escapes"]) == escapes.sum()
    assert [example["row"] - 1 for example in report["dropped_examples"].get("empty", [])] == [
        *table.index.difference(filled.index)
    ]


@needs_bipo
@pytest.mark.parametrize("behaviour", ["power-seeking", "wealth-seeking"])
def test_the_published_inference_files_are_no_pairs(behaviour: str) -> None:
    """They name the letter of the matching answer and no other answer."""
    with pytest.raises(YapoError, match=r"no column not_matching; found question, A, B, matching; name the columns"):
        load_preferences(BIPO / behaviour / "test_infer.csv")


@needs_bipo
@pytest.mark.parametrize(("behaviour", "shared"), [("power-seeking", 1), ("wealth-seeking", 0)])
def test_a_published_test_question_that_is_also_in_train_ends_on_one_side(behaviour: str, shared: int, tmp_path: Path) -> None:
    tables = [pd.read_csv(BIPO / behaviour / name, keep_default_na=False, dtype=str) for name in ("train.csv", "test.csv")]
    both = {question.strip() for question in tables[0]["question"]} & {question.strip() for question in tables[1]["question"]}
    assert len(both) == shared
    pd.concat(tables).to_csv(tmp_path / "all.csv", index=False)
    pairs, _ = load_preferences(tmp_path / "all.csv")
    split, report = split_preferences(pairs, SplitConfig())
    assert report["shared_questions"] == 0
    for question in both:
        assert split.loc[split["prompt"] == question, "split"].nunique() == 1
