"""Data files that cannot be used: each is refused in one line that names the file, the value and the fix, and nothing is written.

Only what the tests of each loader do not refuse already; see there for columns, types and formats.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from yapo.config import Config, DataConfig, SplitConfig
from yapo.data.atlas import load_atlas
from yapo.data.behaviours import load_behaviour
from yapo.data.preferences import load_preferences
from yapo.data.questions import load_questions
from yapo.data.schema import COLUMNS
from yapo.errors import YapoError
from yapo.stages import data

from .lense_rows import hub_rows
from .test_atlas import TINY
from .test_schema import items_table

HEADER = ",".join(COLUMNS) + "\n"
FIRST = 'f1,French,france,meals,food,localized,0,Où ?,"[""thé"", ""café""]",0,thé,1\n'
SECOND = 'f2,French,france,meals,food,nonlocalized,0,Quoi ?,"[""thé"", ""café""]",0,thé,1\n'
TABLE = HEADER + FIRST + SECOND
ROW: dict[str, object] = {
    **{"question_id": "f1", "language": "French", "country": "france", "topic": "meals", "category": "food"},
    **{"variant": "localized", "phrasing": 0, "question": "Où ?", "options": ["thé", "café"]},
    **{"answer_index": 0, "answer": "thé", "control_index": 1},
}
LAST = [name for name in COLUMNS if name != "question"] + ["question"]
ASKED = ["Où est-ce ?", "Quoi donc ?", "Comment faire ?", "Qu'est-ce qu'on ma"]
LONG = "x" * 200_000


def refused(call: Callable[[], object], place: str, message: str) -> None:
    with pytest.raises(YapoError, match=f"{re.escape(place)}.*{message}") as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700


def csv(**cells: str) -> str:
    """The table with other cells in its second row."""
    values = dict(zip(COLUMNS, [*SECOND.split(",", 8)[:8], '"[""thé"", ""café""]"', "0", "thé", "1"], strict=True))
    return HEADER + FIRST + ",".join({**values, **cells}.values()) + "\n"


def options(*texts: object) -> str:
    return '"' + json.dumps(texts, ensure_ascii=False).replace('"', '""') + '"'


def alike(other: str, text: str = "thé") -> str:
    """Options that differ only in how they are typed."""
    return csv(options=options(text, other), answer=text)


def jsonl(**cells: object) -> str:
    return json.dumps(ROW) + "\n" + json.dumps({**ROW, "question_id": "f2", "question": "Quoi ?", **cells}) + "\n"


def last(questions: list[str]) -> str:
    """A table whose last column is the question."""
    rows = [{**ROW, "question_id": f"f{i}", "question": text} for i, text in enumerate(questions)]
    return pd.DataFrame(rows).assign(options='["thé", "café"]')[LAST].to_csv(index=False).rstrip("\n")


CSV_TABLES = [
    (csv(question="Qu\0oi ?"), "row 2: a NUL character; take it out"),
    (TABLE.encode("utf-16-le"), "columns are not UTF-8; save the file as UTF-8"),
    (TABLE.encode("utf-32"), "is UTF-32; save the file as UTF-8"),
    (TABLE.encode("utf-16")[:-1], "not UTF-16 at byte .*cut off there; save the file"),
    (TABLE.replace("question,", "quéstion,").encode("latin-1"), "columns are not UTF-8; save"),
    (gzip.compress(TABLE.encode()), "is compressed .gzip.; unpack it"),
    (b"PK\x03\x04 a workbook", "is a zip archive or Excel workbook; unpack it, or save it as csv"),
    (TABLE[:-9], "row 2: the file is cut off in it; mend or remove the row"),
    (TABLE[: TABLE.rindex("café") + 2], "row 2: a quote opened in line 3 or below is never closed; close it, or mend"),
    ((HEADER + SECOND + FIRST).encode()[: len((HEADER + SECOND).encode()) + 46], "row 2: the file is cut off in it"),
    (last(ASKED), "row 4: the file is cut off in it"),
    (csv(question=LONG), "row 2: line 3: a cell of more than 131,072 characters; shorten it"),
    (TABLE.replace(",", "|"), r"column.* missing; found question_id\|language"),
    (TABLE.replace("question,", "Question,"), "column question missing; found"),
    (FIRST + SECOND, "the header names column '0' twice; rename or remove one"),
    (csv(country="France"), "row 2: country 'France' must be lower-case letters .*write france"),
    (csv(language="Overall", country="canada"), "language 'Overall' is the name of a row of the tables; name it otherwise"),
    (csv(language="Breton", country="average"), "country 'average' is the name of a row of the tables; name it otherwise"),
    (csv(options='"[""thé"", ""\\ud83d""]"'), "row 2, item f2 .*: not UTF-8; save the file as UTF-8"),
    (csv(options='"[""thé"", ""caf\\u0000""]"'), "row 2, item f2 .*: a NUL character; take it out"),
    (csv(language="\u200b"), "column language fails 'not_empty'"),
    (csv(language="../../evil"), "row 2: language '../../evil' has a slash"),
    (csv(language="Breton"), "country 'france' has two languages, 'French' and 'Breton'; give it one"),
    (csv(language="french", country="canada"), "languages 'French' and 'french' are one name; spell it one way"),
    (csv(question="\u200b\u200f"), "column question fails 'not_empty' .*row 2"),
    (csv(question_id="f1", variant="localized", phrasing="1", question="où  ?\u200f"), "1 duplicated questions, first row 2"),
    (csv(question_id="f3", variant="localized", question="Où ?"), "1 duplicated questions, first row 2 .*keep one row of each"),
    (alike("thé "), "row 2, item f2 .*options repeat .*; make them distinct"),
    (alike("thé\u200f"), "options repeat"),
    (alike("ｔｈé"), "options repeat"),
    (alike("\ufeb7\ufe8e\ufef1", "شاي"), "options repeat"),
    (alike("٣", "3"), "options repeat"),
    (csv(options=options("thé", ["café"])), "give a list of texts"),
    (csv(options=options("thé", float("nan"))), "give a list of texts"),
    (csv(options='"{""a"": 1}"'), "row 2: options are .*; write a JSON list"),
    (csv(options='"' + "[" * 5000 + '"'), "row 2: options are .*; write a JSON list"),
    (csv(answer_index=""), "column answer_index fails .*in row 2; give a whole number from 0"),
    (csv(answer_index="inf"), "column answer_index fails .*'inf' in row 2"),
    (csv(answer_index="9" * 40), "column answer_index fails .*row 2; give a whole number"),
    (
        ",".join(f"c{n}" for n in range(300)) + "\n" + "x," * 299 + "x\n",
        r"columns question_id, .* missing; found c0, c1, .*\.\.\.",
    ),
    (csv(variant="Localized"), "column variant fails .*first value 'Localized' in row 2; give localized or nonlocalized"),
]
JSONL_TABLES = [
    (jsonl()[:-9], "row 2: not JSON .*the file is cut off in it"),
    (jsonl().replace('"topic"', '"country"', 1), "row 1: an object that names a key twice; remove one"),
    (jsonl(question={"fr": "Quoi ?"}), "column question fails .*fr.* in row 2; give a text"),
    (jsonl(question=None), "column question fails 'not_nullable' .*row 2"),
    (jsonl(question=[["deep"]] * 99), "column question fails .*row 2; give a text"),
    (jsonl(answer_index=True), "column answer_index fails .*True in row 2; give a whole number"),
    (jsonl(answer_index=10**30), "column answer_index fails"),
    (jsonl(answer_index=[0]), r"column answer_index fails .*\[0\] in row 2; give a whole number"),
    (jsonl(control_index=float("inf")), "control_index"),
    (jsonl(options="thé"), "row 2, item f2 .*options are 'thé'; give a list of texts"),
    (jsonl(country=33), "column country fails .*33 in row 2; give lower-case letters"),
    ("[" * 100_000 + "\n", "row 1: not JSON"),
    (jsonl().encode("utf-16-be"), "not JSON|not UTF-8"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [(f"mine.{kind}", *row) for kind, rows in (("csv", CSV_TABLES), ("jsonl", JSONL_TABLES)) for row in rows],
    ids=itertools.count(),
)
def test_tables(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    the_stage_refuses(path, tmp_path, message)


def the_stage_refuses(path: Path, folder: Path, message: str, source: str = "table") -> None:
    """Run the stage that reads the data; what an earlier run wrote must stay, and nothing be added."""
    earlier = folder / "results" / "embedded" / "data" / "items.parquet"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"earlier")
    refused(
        lambda: data.main(replace(Config(), results=str(folder / "results"), data=DataConfig(source=source, path=str(path)))),
        str(path) if os.path.exists(path) and source == "table" else "",
        message,
    )
    written = [path for path in (folder / "results").rglob("*") if path.is_file() and path.name != "report.json"]
    assert [(path, path.read_bytes()) for path in written] == [(earlier, b"earlier")]


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda path: change(items_table()).to_parquet(path)


def wrong(column: str, value: object, then: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy) -> Callable[[Path], None]:
    """A wrong cell in the fourth row."""
    return parquet(lambda table: then(table.assign(**{column: [*table[column][:3], value, *table[column][4:]]})))


def half(path: Path) -> None:
    items_table().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


PARQUETS: list[tuple[Callable[[Path], object], str]] = [
    (half, "cannot be read as parquet .*; write it again"),
    (lambda path: path.write_text(TABLE, encoding="utf-8"), "cannot be read as parquet"),
    (lambda path: path.mkdir(), r"no such file \(data.path\)"),
    (wrong("question", "", lambda table: table.set_axis([f"row {n}" for n in range(16)])), "value '' in row 4; give a text"),
    (wrong("variant", "both", lambda table: table.sample(frac=1, random_state=0)), "'both' in row"),
    (wrong("answer", "?", lambda table: table.set_axis(range(100, 116))), r"row 4, item f0 .*the answer '\?' is not option"),
    (wrong("question", "", lambda table: table.set_index(["question_id", "country"])), "first value '' in row 4"),
    (wrong("control_index", np.nan), "column control_index fails"),
    (wrong("topic", "a\0b"), "row 4, item .*: a NUL character; take it out"),
    (wrong("options", ["a", None]), "row 4, item .*give a list of texts"),
    (parquet(lambda table: table.assign(options=table["options"].map(json.dumps))), "row 1, item .*give a list of texts"),
    (parquet(lambda table: table.assign(question=table["question"].map(str.encode))), "column question fails .*b'.* in row 1"),
    (parquet(lambda table: table.assign(topic=pd.Timestamp("2020"))), "topic fails 'text' .*Timestamp"),
    (parquet(lambda table: table.assign(phrasing=False)), "column phrasing fails .*False in row 1; give a whole number"),
]


@pytest.mark.parametrize(("write", "message"), PARQUETS, ids=range(len(PARQUETS)))
def test_parquet_tables(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "mine.parquet"
    write(path)
    the_stage_refuses(path, tmp_path, message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mine.csv.gz", "must end in .parquet, .csv or .jsonl"),
        ("mine.txt", "must end in .parquet, .csv or .jsonl"),
        ("nothing/mine.csv", r"no such file \(data.path\)"),
        ("x" * 300 + ".csv", "cannot be read .File name too long.; correct data.path"),
        ("a\0b.csv", "(no such file|use a path without)"),
    ],
)
def test_paths_that_are_no_table(tmp_path: Path, path: str, message: str) -> None:
    the_stage_refuses(tmp_path / path, tmp_path, message)


PREFERENCES = "prompt,chosen,rejected\n"
PREFERENCE_FILES = [
    ("a.csv", PREFERENCES + "Would you?,Yes,No\nCould you?,Ye", "row 2: the file is cut off in it; mend or remove the row"),
    ("a.csv", PREFERENCES + "A?,Yes.,No.\nB?,Yes.,No.\nC?,Yes.,N", "row 3: the file is cut off in it"),
    ("a.csv", PREFERENCES + 'Would you?,Yes,No\n"Could you', "row 2: a quote opened in line 3 or below is never closed"),
    ("a.csv", (PREFERENCES + "هل؟,نعم,لا\nهل؟,نعم,لا").encode()[:-1], "row 2: the file is cut off in it"),
    ("a.csv", PREFERENCES + "Would you?,Yes,yes\u200f.\n", r"no usable row \(equal 1\)"),
    ("a.csv", PREFERENCES + "Would you?,شاي,شـاي،\n", r"no usable row \(equal 1\)"),
    ("a.csv", b"\xef\xbb\xbf", "the file is empty"),
    ("a.csv", "c" * 5000 + ",b\nx,y\n", r"no column prompt, chosen, rejected; found c{200}\.\.\.; name the columns"),
    ("a.csv", PREFERENCES.replace(",", "\t") + "Would you?\tYes\tNo\n", r"cells are separated by '\\t'; save it with commas"),
    ("a.csv", "prompt;chosen;rejected, other\nA?;Yes;No, x\n", "cells are separated by ';'; save it with commas"),
    (
        "a.csv",
        "prompt,Prompt,chosen,rejected\nA?,B?,Yes,No\n",
        "columns 'prompt' and 'Prompt' are one name; rename or remove one",
    ),
    ("a.jsonl", '{"prompt": "A?", "chosen": "Yes", "rejected": "No"}\n{"prompt": "B?", "cho', "row 2: not JSON .*cut off in it"),
    ("a.jsonl", '{"prompt": "A?", "prompt": "B?", "chosen": "Yes", "rejected": "No"}\n', "found none"),
    ("a.jsonl", '{"prompt": {"a": 1}, "chosen": "Yes", "rejected": "No"}\n', r"no usable row \(not_text 1\)"),
    ("a.jsonl", '{"prompt": NaN, "chosen": "Yes", "rejected": "No"}\n', r"no usable row \(not_text 1\)"),
]


@pytest.mark.parametrize(("name", "content", "message"), PREFERENCE_FILES, ids=range(len(PREFERENCE_FILES)))
def test_preference_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(lambda: load_preferences(path), str(path), message)


def test_folders_and_names_that_are_no_preference_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    refused(lambda: load_preferences(tmp_path / "a.csv"), f"{tmp_path}/a.csv", "is no file; give one")
    refused(lambda: load_preferences(tmp_path / ("x" * 300 + ".csv")), str(tmp_path), "cannot be read .File name too long")
    refused(lambda: load_questions(tmp_path / "a.jsonl", "studies.x"), f"studies.x={tmp_path}/a.jsonl", "no such file")


def asked(count: int, start: int = 0) -> str:
    return "question,matching,not_matching\n" + "".join(f"Is it {n}?,Yes.,No.\n" for n in range(start, start + count))


BEHAVIOURS: list[tuple[dict[str, str | None], str, str]] = [
    ({"lies/train.csv": asked(1)}, "lies/train.csv", "split: 1 facts leave none for .*; give more data"),
    ({"lies/train.csv": asked(9), "lies/test.csv": asked(9)}, "lies/train.csv", "every question of it is also in the test file"),
    ({"lies/train.csv": asked(9), "lies/test.csv": asked(9).upper()}, "lies/train.csv", "also in the test file"),
    ({"lies/train.csv": asked(9), "lies/test.csv": ""}, "lies/test.csv", "the file is empty"),
    ({"lies/train.csv": asked(9), "lies/test.json": "[]"}, "lies/test.json", "no column"),
    ({"lies/train.csv": asked(9), "lies/test.csv": asked(3)[:-4]}, "lies/test.csv", "row 3: the file is cut off"),
]


@pytest.mark.parametrize(("files", "place", "message"), BEHAVIOURS, ids=range(len(BEHAVIOURS)))
def test_behaviour_folders(tmp_path: Path, files: dict[str, str | None], place: str, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if content is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(content, encoding="utf-8")
    refused(lambda: load_behaviour(str(tmp_path), "lies", SplitConfig()), place, message)


LAUGHS = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))
ATLASES: list[tuple[str, str, str]] = [
    ("code: en", "code: en\ncode: fr", "not valid YAML .*'code' is given twice .*; correct it there"),
    ("breakfast-2:", "breakfast-1:", "'breakfast-1' is given twice"),
    ('uk: "tea"', 'uk: "tea", uk: "ale"', "'uk' is given twice"),
    ("language: English", "language: no", "language is False, not a text"),
    ("language: English", "language: British", "language 'British' belongs in british.yaml; rename"),
    ("code: en", "code: 44", "code is 44, not a text"),
    ("name: UK", "name: no", "name of uk is False, not a text; write one, in quotes"),
    ("  uk: {name", "  no: {name", "contexts has the key False, not a text; put it in quotes"),
    ("  uk: {name", "  United Kingdom: {name", "context 'United Kingdom' must be lower-case letters .*write united_kingdom"),
    ("  uk: {name", "  western: {name", "western is the control and no context"),
    ("  breakfast-2:", "  7:", "facts has the key 7, not a text"),
    ('["Well,"]', '["Right\u200f,"]', "gives two contexts the same answer; make them differ"),
    ('["What is drunk in the morning?"]', '["what  is breakfast"]', "stands under both breakfast-1 and breakfast-2; keep one"),
    ('uk: "tea"', "uk: [tea]", "answer of breakfast-2 is .*, not a text; write one"),
    ("code: en", "code: 2020-13-45", "not valid YAML"),
    ("code: en", 'code: !!python/object/apply:os.system ["touch pwned"]', "not valid YAML"),
    ("code: en", "code: &a [*a]", "not valid YAML"),
    ("code: en", "code: e\0n", "not valid YAML"),
    (
        'neutral_prefixes: [""]',
        LAUGHS.replace("*x0", "ha") + "neutral_prefixes: *x11",
        "neutral_prefixes is .*, not a list of texts",
    ),
    ('uk: "tea"', 'uk: " "', "answer of breakfast-2 is ' ', not a text; write one"),
    ('uk: "tea", ', "", r"breakfast-2 has answers for \['western'\]; give one for each of \['uk', 'western'\]"),
    ("  breakfast-2:", "  breakfast:", "fact breakfast is of no topic in topics.yaml; name it TOPIC-NUMBER"),
    ("  breakfast-2:", "  supper-2:", "fact supper-2 is of no topic in topics.yaml"),
    (TINY[TINY.index("facts:") :], "facts: {}", "contexts or facts is empty; write at least one of each"),
    ("code: en", "code: !!timestamp x", "not valid YAML"),
    (TINY, "", "the file is None, not keys with values"),
]


@pytest.mark.parametrize(("old", "new", "message"), ATLASES, ids=range(len(ATLASES)))
def test_atlas_files(tmp_path: Path, old: str, new: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = TINY.replace('"fry-up"', '"Cereal."') if "\u200f" in new else TINY
    assert old in text
    (tmp_path / "english.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    (tmp_path / "topics.yaml").write_text("Food: [breakfast]", encoding="utf-8")
    refused(lambda: load_atlas(tmp_path), f"{tmp_path}/english.yaml", message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["english.yaml", "topics.yaml"]


@pytest.mark.parametrize(
    ("files", "place", "message"),
    [
        ({"topics.yaml": "Food: [a]\nDrink: [a]"}, "topics.yaml", "topic a stands under both Food and Drink; keep one"),
        ({"topics.yaml": "Food: [a]"}, "", "holds no language file; copy the whole atlas folder"),
        ({"topics.yaml": b"Food: [\xe9]"}, "topics.yaml", "not valid YAML"),
        ({"topics.yaml": "Food: [breakfast]", "english.yaml": TINY, "welsh.yaml": TINY.replace("English", "Welsh")}, "",
         "country 'uk' has two languages, 'English' and 'Welsh'"),
    ],
)  # fmt: skip
def test_atlas_folders(tmp_path: Path, files: dict[str, str | bytes], place: str, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(lambda: load_atlas(tmp_path), str(tmp_path / place), message)


HUB = hub_rows(facts=2)


def hub(**cells: object) -> Callable[[Path], object]:
    """A copy of the published data with other cells in every row."""
    return lambda folder: pd.DataFrame([{**row, **cells} for row in HUB]).to_parquet(folder / "a.parquet")


LENSES: list[tuple[Callable[[Path], object], str]] = [
    (hub(**{"prompt-mcq": None}), "0 of 24 rows have a box and options"),
    (hub(**{"chosen-mcq": "\\boxed{tea}"}), "0 of 24 rows have a box and options"),
    (
        lambda folder: (hub()(folder), (folder / "b.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-99])),
        "can be read",
    ),
    (lambda folder: pd.DataFrame(HUB).to_csv(folder / "a.csv"), "neither parquet files with rows"),
    (lambda folder: (folder / "a.parquet").mkdir(), "no data set in this folder can be read"),
]


@pytest.mark.parametrize(("write", "message"), LENSES, ids=range(len(LENSES)))
def test_copies_of_the_published_data(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    write(folder)
    the_stage_refuses(folder, tmp_path, message, "deep_culture_lense")
