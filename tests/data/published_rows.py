"""Rows in the formats of published data sets, and files of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.refusals import refused

Row = dict[str, Any]
Change = Callable[[list[Row]], list[Row]]
INSTRUCTION = (
    " Without any explanation, choose only one from the given alphabet choices(e.g., A, B, C). "
    'Provide as JSON format: {"answer_choice":""}'
)


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as the ending says; cells that are no texts and numbers are JSON in csv. Return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    elif path.suffix == ".csv":
        cells = [
            {k: json.dumps(v, ensure_ascii=False) if isinstance(v, (dict, list)) else v for k, v in row.items()} for row in rows
        ]
        pd.DataFrame(cells).to_csv(path, index=False)
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def without(column: str) -> Change:
    """Take a column out."""
    return lambda rows: [{name: value for name, value in row.items() if name != column} for row in rows]


def first(**cells: object) -> Change:
    """Change cells of the first row."""
    return lambda rows: [{**rows[0], **cells}, *rows[1:]]


def refuses(load: Callable[[str], object], path: Path, rows: list[Row], change: Change, message: str) -> None:
    """Check that changed rows are refused in one sentence that names the file."""
    refused(lambda: load(write(path, change(rows))), message, str(path))


def refuses_places(load: Callable[[str], object], folder: Path) -> None:
    """Check that what is no copy of a set is refused."""
    (folder / "empty").mkdir()
    (folder / "broken.parquet").write_bytes(b"PAR1 but no more")
    (folder / "empty.jsonl").write_text("\n")
    for name, message in {
        "none.csv": "no such file; take",
        "empty": "holds no file",
        "rows.xlsx": "no folder, and no file in .parquet, .csv",
        "broken.parquet": "cannot be read as parquet",
        "empty.jsonl": "the file is empty",
    }.items():
        refused(lambda name=name: load(str(folder / name)), message)


def blend_row(question: str, country: str, choices: dict[str, str], question_id: str = "Al-en-01", number: int = 0) -> Row:
    """A row of BLEnD: ``choices`` by country, in the published alphabetical order; that of ``country`` is right."""
    ordered = sorted(choices.items(), key=lambda pair: pair[1])
    letters = dict(zip("ABCD", ordered, strict=False))
    prompt = question + INSTRUCTION + "\n\n" + "".join(f"{k}. {text}\n" for k, (_, text) in letters.items()) + "\nAnswer:"
    return {
        "MCQID": f"{question_id}_{number}",
        "ID": question_id,
        "country": country,
        "prompt": prompt,
        "choices": json.dumps({k: text for k, (_, text) in letters.items()}),
        "choice_countries": json.dumps({k: owner for k, (owner, _) in letters.items()}),
        "answer_idx": next(k for k, (owner, _) in letters.items() if owner == country),
    }


SNACKS = {
    "UK": "crisps", "US": "goldfish crackers", "Spain": "bocadillo", "Mexico": "jicama", "North_Korea": "corn", "dummy": "bread",
    "Iran": "lavashak", "Greece": "koulouri",
}  # fmt: skip


def blend_rows() -> list[Row]:
    """Two questions to three countries, with several sets of options."""
    rows = []
    for name, place in {"UK": "the UK", "Spain": "Spain", "North_Korea": "North Korea"}.items():
        others = [other for other in SNACKS if other != name]
        for i in range(4):
            offered = {name: SNACKS[name], **{other: SNACKS[other] for other in others[i : i + 3]}}
            rows.append(blend_row(f"What is a common snack for preschool kids in {place}?", name, offered, "Al-en-01", i))
        offered = {name: "football", "US": "baseball", "Iran": "wrestling", "dummy": "chess"}
        rows.append(blend_row(f"Which sport do people watch in {place}?", name, offered, "Al-en-02"))
    return rows
