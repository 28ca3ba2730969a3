"""Items from the atlas and from tables of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from yapo.config import DataConfig
from yapo.config.data import Source
from yapo.data.atlas import load_atlas
from yapo.data.schema import COLUMNS
from yapo.data.sources import DATA_SETS, known_countries, load_items
from yapo.errors import YapoError

from .test_schema import items_table

FORMATS = ["parquet", "csv", "jsonl"]


@pytest.fixture(scope="module")
def atlas_items() -> pd.DataFrame:
    return load_items(DataConfig())


def write(path: Path, table: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        table.assign(options=[json.dumps(options, ensure_ascii=False) for options in table["options"]]).to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True, force_ascii=False)
    return path


def read(path: Path) -> pd.DataFrame:
    items = load_items(DataConfig(source="table", path=str(path)))
    return items.assign(options=items["options"].map(list))


def test_every_source_that_settings_can_name_has_a_record() -> None:
    assert DATA_SETS.keys() == set(get_args(Source))


@pytest.mark.parametrize("kind", FORMATS)
def test_round_trip(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"items.{kind}", items_table())
    pd.testing.assert_frame_equal(read(path), items_table())
    assert known_countries(DataConfig(source="table", path=str(path))) == {"egypt": "arabic"}


@pytest.mark.parametrize("kind", FORMATS)
def test_numbers_and_dates_stay_text(tmp_path: Path, kind: str) -> None:
    """Ids keep their zeros; answers that look like numbers, dates, booleans or nothing are texts like any other."""
    options = ["1.50", "2020-01-01", "true", "NA"]
    table = items_table().assign(topic="007", options=[options] * 16, control_index=-1)
    table["answer_index"] = [i // 4 for i in range(16)]
    table["answer"] = [options[i] for i in table["answer_index"]]
    table["question_id"] = [f"00{i // 4}" for i in range(16)]
    pd.testing.assert_frame_equal(read(write(tmp_path / f"items.{kind}", table)), table)
    numeric = table.assign(answer="1.50", answer_index=0)
    pd.testing.assert_frame_equal(read(write(tmp_path / f"items.{kind}", numeric)), numeric)


HEADER = ",".join(COLUMNS) + "\n"
ROW = 'f1,French,france,meals,food,{variant},0,{question},"[""thé"", ""café""]",0,thé,1\n'
GOOD = ROW.format(variant="localized", question="Où ?") + ROW.format(variant="nonlocalized", question="Quoi ?")
JSON = '{"question_id": "f1", "options": ["a", "b"]}\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"", "cannot be read as parquet"),
        ("a.csv", b"", "the file is empty; give at least one row"),
        ("a.csv", HEADER.encode(), "no items; give at least one row of question_id"),
        ("a.csv", (HEADER + GOOD).encode("latin-1"), "row 1: not UTF-8; save the file as UTF-8"),
        ("a.csv", (HEADER + GOOD).replace(",", ";").encode(), "cells are separated by ';'; save it with commas"),
        ("a.csv", (HEADER + GOOD.replace(",0,thé", ",thé", 1)).encode(), "row 1: 11 cells, the header has 12; quote cells"),
        ("a.csv", (HEADER + GOOD.replace("Quoi ?", '"Quoi ?" dit-il')).encode(), "row 2: line 3: .*; double inner quotes"),
        ("a.csv", (HEADER + GOOD + '"f2,French').encode(), "a quote opened in line 4 or below is never closed; close it"),
        (
            "a.csv",
            ("," + HEADER + "0," + ROW + "1," + ROW).encode(),
            r"unknown column without a name \(an index column\?\); remove it",
        ),
        (
            "a.csv",
            (HEADER + GOOD.replace('"[""thé"", ""café""]"', "thé|café", 1)).encode(),
            r"row 1: options are 'thé.café'; write a JSON list",
        ),
        (
            "a.csv",
            (HEADER + GOOD.replace('""café""', "4")).encode(),
            "row 1, item f1 .*; give a list of texts, none of them empty",
        ),
        ("a.jsonl", JSON.encode() + b'{"question_id": "f1"\n', "row 2: not JSON .*; write one object a line"),
        ("a.jsonl", b'[{"question_id": "f1"}]', 'row 1: list where an object belongs; write {"column": value, ...}'),
        ("a.jsonl", JSON.replace("a", "é").encode("latin-1"), "row 1: not UTF-8"),
        ("a.jsonl", b'{"question_id": "\\ud800"}', "row 1: not UTF-8"),
        ("a.jsonl", JSON.encode(), "columns language, country, .* missing; found question_id, options"),
        ("a.xlsx", b"", "must end in .parquet, .csv or .jsonl"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(YapoError, match=f"^{tmp_path / name}: .*{message}") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["category", "string", "Int64"])
def test_columns_of_every_kind_of_pandas_are_read(tmp_path: Path, kind: str) -> None:
    table = items_table()
    columns = {"category": table.columns.drop("options"), "Int64": ["phrasing", "control_index"], "string": ["country", "topic"]}
    table.astype(dict.fromkeys(columns[kind], kind)).to_parquet(tmp_path / "items.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "items.parquet"), items_table())
    assert known_countries(DataConfig(source="table", path=str(tmp_path / "items.parquet"))) == {"egypt": "arabic"}


@pytest.mark.parametrize(("mark", "first"), [(",", "sep=,\n"), (";", "sep=;\r\n"), ("\t", '"sep=\t"\n'), (",", "\n,,,\n")])
@pytest.mark.parametrize("last", ["", ",,,,\n", "\n , ,\r\n,,", ",,,,,,,,,,,"])
def test_lines_that_a_spreadsheet_adds_to_a_csv_are_no_rows(tmp_path: Path, mark: str, first: str, last: str) -> None:
    path = write(tmp_path / "items.csv", items_table())
    table = pd.read_csv(path, dtype=str).to_csv(sep=mark, index=False)
    path.write_text(first + table + last.replace(",", mark), encoding="utf-8", newline="")
    pd.testing.assert_frame_equal(read(path), items_table())
    path.write_text(first + table + f"f9{mark}French\n", encoding="utf-8", newline="")
    with pytest.raises(YapoError, match="row 17: 2 cells, the header has 12; quote cells that contain"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_byte_order_mark_does_no_harm(tmp_path: Path, kind: str, encoding: str) -> None:
    path = write(tmp_path / f"items.{kind}", items_table())
    text = path.read_text(encoding="utf-8").replace("topic", "\ufefftopic\u200f", 1 if kind == "csv" else 0)
    path.write_bytes(text.encode(encoding))
    pd.testing.assert_frame_equal(read(path), items_table())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_and_nothing_are_no_table(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"folder.{kind}").mkdir()
    for name in (f"folder.{kind}", f"nothing.{kind}"):
        with pytest.raises(YapoError, match=rf"{name}: no such file \(data.path\)"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_example_of_the_documentation_is_read(tmp_path: Path, kind: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    (tmp_path / "page.csv").write_text(page.split("```csv\n")[1].split("```")[0], encoding="utf-8")
    items = read(tmp_path / "page.csv")
    assert set(items["variant"]) == {"localized", "nonlocalized"}
    pd.testing.assert_frame_equal(read(write(tmp_path / f"items.{kind}", items)), items)


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_line_ends_of_every_system(tmp_path: Path, kind: str, separator: str) -> None:
    path = write(tmp_path / f"items.{kind}", items_table())
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    path.write_bytes((separator.join([*lines[:5], "\n".join(lines[5:])])).encode())
    pd.testing.assert_frame_equal(read(path), items_table())


def test_an_index_that_is_named_as_a_column_is_that_column(tmp_path: Path) -> None:
    table = items_table()
    table.set_index(["question_id", "country"]).to_parquet(tmp_path / "items.parquet")
    items = read(tmp_path / "items.parquet")
    pd.testing.assert_frame_equal(items[table.columns], table)


def test_cells_may_hold_line_ends_commas_and_quotes(tmp_path: Path) -> None:
    table = items_table()
    table["question"] = [f'{text}\n"A", {{b}};\t\\' for text in table["question"]]
    pd.testing.assert_frame_equal(read(write(tmp_path / "items.csv", table)), table)


def test_unknown_source_and_missing_path() -> None:
    with pytest.raises(YapoError, match=r"data.source=atlass: choose one of atlas, table, deep_culture_lense"):
        DataConfig(source="atlass")
    with pytest.raises(YapoError, match=r"data.path=: a table source needs a file"):
        DataConfig(source="table")


def test_the_atlas_gives_every_question_in_both_forms(atlas_items: pd.DataFrame) -> None:
    facts = {name: len(language.facts) for name, language in load_atlas().items()}
    for (language, _), own in atlas_items.groupby(["language", "country"]):
        assert len(own) == facts[language.lower()] * 3 * 2
    assert atlas_items["country"].nunique() == 15
    keys = ["question_id", "country", "phrasing"]
    assert (atlas_items.groupby(keys)["variant"].agg(set).map(len) == 2).all()


def test_both_forms_differ_in_the_question_alone(atlas_items: pd.DataFrame) -> None:
    keys = ["country", "question_id", "phrasing"]
    sides = [
        atlas_items[atlas_items["variant"] == variant].sort_values(keys, ignore_index=True)
        for variant in ("localized", "nonlocalized")
    ]
    localized, nonlocalized = sides
    assert (localized["question"] != nonlocalized["question"]).all()
    for column in ("language", "topic", "category", "answer_index", "answer", "control_index"):
        assert (localized[column] == nonlocalized[column]).all()
    assert localized["options"].map(list).tolist() == nonlocalized["options"].map(list).tolist()


def test_the_nonlocalized_question_is_the_same_for_sibling_countries(atlas_items: pd.DataFrame) -> None:
    asked = atlas_items[atlas_items["variant"] == "nonlocalized"].groupby(["language", "question_id", "phrasing"])["question"]
    assert (asked.nunique() == 1).all()


def test_every_option_position_holds_the_answer_about_as_often(atlas_items: pd.DataFrame) -> None:
    for _, own in atlas_items.groupby("country"):
        share = own["answer_index"].value_counts(normalize=True)
        options = len(own["options"].iloc[0])
        assert len(share) == options
        assert share.between(0.7 / options, 1.3 / options).all()


def test_the_seed_alone_decides_the_order_of_options(atlas_items: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(load_items(DataConfig()), atlas_items)
    other = load_items(DataConfig(seed=1))
    same = ["question_id", "country", "variant", "phrasing", "question", "answer"]
    pd.testing.assert_frame_equal(other[same], atlas_items[same])
    assert not other["answer_index"].equals(atlas_items["answer_index"])
    assert other["options"].map(frozenset).tolist() == atlas_items["options"].map(frozenset).tolist()


def test_countries_and_their_languages() -> None:
    known = known_countries(DataConfig())
    assert len(known) == 15
    assert (known["egypt"], known["nepal"], known["uk"]) == ("arabic", "hindi", "english")
