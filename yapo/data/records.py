"""Records of a csv, jsonl or json file, with the fault of every one that cannot be read. Callers decide what a fault costs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapo.data.text import broken, visible
from yapo.errors import YapoError

ENDINGS = (".csv", ".jsonl", ".json")  # of the files that are read here
_SEPARATOR = re.compile(r'"?sep=([^\s"]|\t)"?(?=[\r\n])')  # the line that Excel puts above the header
_QUOTED = re.compile('"[^"]*"')
_LINE_END = re.compile("\r\n|\r|\n")
# Marks that end a sentence.
_CLOSES = re.compile(r"[.!?…؟۔।॥。！？][\"'”’»)\]]*$")

_PACKED = {b"\x1f\x8b": "compressed (gzip)", b"PK\x03\x04": "a zip archive or Excel workbook", b"PAR1": "parquet"}
_EXAMPLES = 5  # of each kind of fault, in a report
_ENOUGH = 3  # rows that show how the last column ends


@dataclass(frozen=True)
class Fault:
    """A record that cannot be used: its number from 1 (or its name), a word for the kind of fault, and what it is."""

    row: int | str
    reason: str
    detail: str


@dataclass(frozen=True)
class Records:
    """Content of a file. ``rows`` are numbered from 1: records of a csv (the header not counted) or json, lines of a jsonl."""

    columns: list[str]
    rows: list[tuple[int, dict[str, Any]]]
    faults: list[Fault]
    encoding: str


def examples(faults: Iterable[Fault]) -> dict[str, list[dict[str, Any]]]:
    """Return the first faults of each reason, by reason, as a report shows them."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fault in faults:
        if len(found[fault.reason]) < _EXAMPLES:
            found[fault.reason].append({name: value for name, value in vars(fault).items() if name != "reason"})
    return dict(sorted(found.items()))


def read_records(path: Path) -> Records:
    """Read a file by its ending.

    Faults are ``encoding`` (not UTF-8, or a NUL character), ``cells`` (more or fewer than the header, or one that is too long),
    ``quotes`` and ``json`` (not an object, or one that names a key twice).

    Raises:
        YapoError: no such file, nothing in it, a header that cannot be used, a last row that is cut off, or not JSON at all.
    """
    text, encoding = _text(path)
    if path.suffix == ".csv":
        columns, found = _csv(path, text)
    else:
        found = _jsonl(path, text) if path.suffix == ".jsonl" else _json(path, text)
        columns = list(dict.fromkeys(name for _, row in found if isinstance(row, dict) for name in row))
    rows: list[tuple[int, dict[str, Any]]] = []
    faults: list[Fault] = []
    for number, row in found:
        if isinstance(row, Fault):
            faults.append(row)
        elif detail := broken("\n".join(_texts(row))):
            faults.append(Fault(number, "encoding", detail))
        else:
            rows.append((number, row))
    return Records(columns, rows, faults, encoding)


def _text(path: Path) -> tuple[str, str]:
    """Return the whole file and its encoding; bytes that are not UTF-8 become surrogates."""
    try:
        if path.exists() and not path.is_file():
            raise YapoError(f"{path}: is no file; give one")
        data = path.read_bytes()
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise YapoError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}); give a file") from None
    packed = next((kind for start, kind in _PACKED.items() if data.startswith(start)), None)
    if packed:
        raise YapoError(f"{path}: is {packed}; unpack it, or save it as csv")
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        raise YapoError(f"{path}: is UTF-32; save the file as UTF-8")
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encoding = "utf-16" if utf16 else "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    try:
        text = data.decode(encoding, errors="strict" if utf16 else "surrogateescape")
    except UnicodeDecodeError as error:
        raise YapoError(f"{path}: not UTF-16 at byte {error.start}, or cut off there; save the file as UTF-8") from None
    if not text.strip():
        raise YapoError(f"{path}: the file is empty; give at least one row")
    return text, encoding


def _csv(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, Any] | Fault]]]:
    said = _SEPARATOR.match(text)
    mark, text = (said[1], text[said.end() :]) if said else (",", text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark)
    columns: list[str] = []
    found: list[tuple[int, dict[str, Any] | Fault]] = []
    last = 0  # cells of the last record
    while True:
        line, number = reader.line_num + 1, len(found) + 1
        try:
            cells = next(reader)
        except StopIteration:
            _check_end(path, text.rstrip(f"{mark} "), columns, found, last)
            return columns, found
        except csv.Error as error:
            if "unexpected end" in str(error):
                where = f"row {number}: " if columns else ""
                raise YapoError(
                    f"{path}: {where}a quote opened in line {line} or below is never closed; close it, or mend the file if it "
                    "is cut off"
                ) from None
            if not columns:
                raise YapoError(f"{path}: the header cannot be read ({error}); name the columns, with commas between") from None
            found.append((number, _unread(number, reader.line_num, error)))
            continue
        if not any(map(str.strip, cells)):  # a blank line, or one that a spreadsheet leaves
            continue
        last = len(cells)
        if not columns:
            columns = _header(path, cells, text)
        elif len(cells) == len(columns):
            found.append((number, dict(zip(columns, cells, strict=True))))
        else:
            called = "a comma" if mark == "," else repr(mark)
            detail = f"{len(cells)} cells, the header has {len(columns)}; quote cells that contain {called}"
            found.append((number, Fault(number, "cells", detail)))


def _unread(number: int, line: int, error: csv.Error) -> Fault:
    if "field larger" in str(error):
        return Fault(number, "cells", f"line {line}: a cell of more than {csv.field_size_limit():,} characters; shorten it")
    return Fault(number, "quotes", f"line {line}: {error}; double inner quotes")


def _check_end(path: Path, text: str, columns: list[str], found: list[tuple[int, dict[str, Any] | Fault]], last: int) -> None:
    """Refuse a file that stops in the middle of its last row.

    A last line may lack its line end. It is cut off if it has too few cells or stops within a character, or if its last cell
    alone does not end as sentences do while all others of that column do.
    """
    if not found or _LINE_END.search(text[-1]):
        return
    cut = last < len(columns) or bool(broken(text[-1]))
    ends = [row[columns[-1]].rstrip() for _, row in found if isinstance(row, dict)]
    if len(ends) >= _ENOUGH and isinstance(found[-1][1], dict):
        cut = cut or (not _CLOSES.search(ends[-1]) and all(map(_CLOSES.search, ends[:-1])))
    if cut:
        raise YapoError(
            f"{path}: row {found[-1][0]}: the file is cut off in it; mend or remove the row, and end it with a line end"
        )


def _header(path: Path, cells: list[str], text: str) -> list[str]:
    """Return the names of the columns; refuse those that another separator parts into more."""
    if any(map(broken, cells)):
        raise YapoError(f"{path}: the names of the columns are not UTF-8; save the file as UTF-8")
    names = [visible(name).strip() for name in cells]
    bare = _LINE_END.split(_QUOTED.sub("", text.lstrip("\r\n, ")[: csv.field_size_limit()]), maxsplit=1)[0]
    for mark in (";", "\t"):
        if bare.count(mark) >= len(names):
            raise YapoError(f"{path}: cells are separated by {mark!r}; save it with commas")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise YapoError(f"{path}: the header names column {twice[0]!r} twice; rename or remove one")
    return names


def _jsonl(path: Path, text: str) -> list[tuple[int, dict[str, Any] | Fault]]:
    found: list[tuple[int, dict[str, Any] | Fault]] = []
    lines = _LINE_END.split(text)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append((number, _object(number, _parse(line))))
            except (ValueError, RecursionError) as error:
                if number == len(lines):
                    raise YapoError(
                        f"{path}: row {number}: not JSON ({error}); the file is cut off in it: mend or remove it"
                    ) from None
                found.append((number, Fault(number, "json", f"not JSON ({error}); write one object a line")))
    return found


def _json(path: Path, text: str) -> list[tuple[int, dict[str, Any] | Fault]]:
    try:
        values = _parse(text)
    except (ValueError, RecursionError) as error:
        raise YapoError(f"{path}: not JSON ({error}); write a list of objects, or one object a line into a .jsonl") from None
    if not isinstance(values, list):
        raise YapoError(f"{path}: holds {type(values).__name__}; write a list of objects")
    return [(number, _object(number, value)) for number, value in enumerate(values, start=1)]


class _Twice(dict[str, Any]):
    """An object that names a key twice."""


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_keys)


def _keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Twice(made)


def _object(number: int, value: Any) -> dict[str, Any] | Fault:
    if isinstance(value, _Twice):
        return Fault(number, "json", "an object that names a key twice; remove one")
    if isinstance(value, dict):
        return value
    return Fault(number, "json", f'{type(value).__name__} where an object belongs; write {{"column": value, ...}}')


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a record, keys included, however deep."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
