"""Items tables that are accepted, and one clear error for every other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from yapo.data.schema import COLUMNS, ITEMS, check_items, read_table, write_items
from yapo.errors import YapoError

OPTIONS = ["شاي بلبن", "black coffee", "चाय"]


def items_table(facts: int = 4, phrasings: int = 2) -> pd.DataFrame:
    """A small valid table: one country, both variants of every question."""
    return pd.DataFrame(
        [
            {
                "question_id": f"f{fact}",
                "language": "Arabic",
                "country": "egypt",
                "topic": f"topic{fact // 2}",
                "category": "food",
                "variant": variant,
                "phrasing": phrasing,
                "question": f"{'أنا من مصر. ' if variant == 'localized' else ''}سؤال {fact}.{phrasing}؟",
                "options": list(OPTIONS),
                "answer_index": fact % 2,
                "answer": OPTIONS[fact % 2],
                "control_index": 2,
            }
            for fact in range(facts)
            for phrasing in range(phrasings)
            for variant in ("localized", "nonlocalized")
        ]
    )


def test_a_valid_table_passes_unchanged() -> None:
    pd.testing.assert_frame_equal(check_items(items_table(), "here"), items_table())


def test_written_tables_read_back_equal(tmp_path: Path) -> None:
    write_items(tmp_path / "items.parquet", items_table())
    back = read_table(tmp_path / "items.parquet")
    pd.testing.assert_frame_equal(back.assign(options=back["options"].map(list)), items_table())
    assert [path.name for path in tmp_path.iterdir()] == ["items.parquet"]


def _set(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Replace the third row's value."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].tolist()
        values[2] = value
        return table.assign(**{column: values})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _set("question", ""),
            "column question fails 'not_empty' in 1 of 16 rows, first value '' in row 3; give a text that is not empty",
        ),
        (_set("question", None), "column question fails 'not_nullable' in 1 of 16 rows, first value (nan|None) in row 3"),
        (_set("question", 7), "column question fails 'not_empty' .*first value 7 in row 3; give a text that is not empty"),
        (_set("question", ["a"]), r"column question .*first value \['a'\] in row 3"),
        (_set("answer", "كشري"), r"row 3, item f0 \(egypt, localized, phrasing 1\): the answer 'كشري' is not option 0 of"),
        (_set("answer_index", 1), "the answer 'شاي بلبن' is not option 1"),
        (_set("answer_index", -1), "column answer_index"),
        (_set("answer_index", "two"), "column answer_index fails .*'two' in row 3; give a whole number from 0"),
        (_set("answer_index", 0.5), "column answer_index fails 'whole_number' .*0.5 in row 3; give a whole number from 0"),
        (_set("answer_index", float("nan")), "column answer_index"),
        (_set("control_index", 3), "control_index 3"),
        (_set("control_index", 0), "row 3, item f0 .*control_index 0 is the answer itself; give .*, or -1 if there is none"),
        (_set("topic", "drinks"), "row 1: question_id f0 stands under the topics 'topic0', 'drinks'; give a fact one topic"),
        (
            _set("options", [OPTIONS[0], *OPTIONS[:0:-1]]),
            r"row 4: the options .* those of row 3, its other form \(country egypt, .*f0",
        ),
        (_set("options", [*OPTIONS[:2], "قهوة"]), "row 4: the options .* are not those of row 3, .*write .* in both"),
        (_set("options", [*OPTIONS, "\ud83d"]), "row 3, item f0 .*: not UTF-8; save the file as UTF-8"),
        (_set("category", "fo\0od"), "row 3, item f0 .*: a NUL character; take it out"),
        (_set("options", ["شاي بلبن", "شاي بلبن"]), "options repeat"),
        (_set("options", ["شاي بلبن"]), "give at least two"),
        (_set("options", None), "column options"),
        (_set("options", ["شاي بلبن", ""]), "none of them empty"),
        (_set("options", 4), "row 3, item f0 .*options are 4; give a list of texts"),
        (_set("options", {"شاي بلبن": 0, "x": 1}), "give a list of texts"),
        (_set("variant", "local"), "column variant fails .*first value 'local'"),
        (_set("country", "Egypt City"), "row 3: country 'Egypt City' must be lower-case letters .*write egypt_city"),
        (_set("phrasing", 0), r"1 duplicated items, first row 3 \(question_id f0, country egypt, .*keep one row of each"),
        (_set("question", "أنا من مصر. سؤال 0.0؟"), r"1 duplicated questions, first row 3 .*question أنا من مصر. سؤال 0.0؟\)"),
        (lambda table: table.drop(columns="options"), "column options missing; found question_id, language"),
        (lambda table: table.assign(**{"": 0}), r"unknown column without a name \(an index column\?\); remove it"),
        (lambda table: table.assign(notes="x"), "unknown column notes; remove it: the items schema has question_id"),
        (lambda table: table.head(0), "no items"),
    ],
)
def test_bad_tables_are_refused(change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(YapoError, match=f"^mine.csv: .*{message}") as caught:
        check_items(change(items_table()), "mine.csv")
    assert "\n" not in str(caught.value)


def test_nothing_is_written_for_a_bad_table(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"items.parquet: column answer missing"):
        write_items(tmp_path / "items.parquet", items_table().drop(columns="answer"))
    assert not list(tmp_path.iterdir())


def test_the_schema_is_the_documented_one() -> None:
    assert list(items_table().columns) == COLUMNS
    assert set(ITEMS.columns) - set(COLUMNS) == {"region"}


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"items.parquet: no such file; run the stage"):
        read_table(tmp_path / "items.parquet")
    write_items(tmp_path / "items.parquet", items_table())
    whole = (tmp_path / "items.parquet").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not parquet at all"):
        (tmp_path / "items.parquet").write_bytes(damaged)
        with pytest.raises(YapoError, match=r"items.parquet: not a readable parquet file"):
            read_table(tmp_path / "items.parquet")


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "data" / "items.parquet"
    with pytest.raises(YapoError, match=rf"{path}: (Permission denied|Not a directory|File exists|Is a directory)"):
        write_items(path, items_table())
