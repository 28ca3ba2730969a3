"""Records of a csv, jsonl or json file, with the fault of every one that cannot be read. Callers decide what a fault costs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapo.errors import YapoError

_BROKEN = re.compile("[\ud800-\udfff]")  # bytes that are not UTF-8 (kept as surrogates), or half a character in JSON


@dataclass(frozen=True)
class Fault:
    """A record that cannot be read: its number from 1, a word for the kind of fault, and what it is."""

    row: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Records:
    """What a file holds. ``rows`` are numbered from 1: records of a csv (the header not counted) or json, lines of a jsonl."""

    columns: list[str]
    rows: list[tuple[int, dict[str, Any]]]
    faults: list[Fault]
    encoding: str


def read_records(path: Path) -> Records:
    """Read a file by its ending.

    Faults are ``encoding`` (not UTF-8), ``cells`` (more or fewer than the header), ``quotes`` and ``json`` (not an object).

    Raises:
        YapoError: no such file, nothing in it, a header that cannot be used, a quote that is never closed, or not JSON at all.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file") from None
    except OSError as error:
        raise YapoError(f"{path}: cannot be read ({error.strerror}); give a file") from None
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encoding = "utf-16" if utf16 else "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    text = data.decode(encoding, errors="replace" if utf16 else "surrogateescape")
    if not text.strip():
        raise YapoError(f"{path}: the file is empty; give at least one row")
    if path.suffix == ".csv":
        columns, found = _csv(path, text)
    else:
        found = list(_jsonl(text) if path.suffix == ".jsonl" else _json(path, text))
        columns = list(dict.fromkeys(name for _, row in found if isinstance(row, dict) for name in row))
    rows: list[tuple[int, dict[str, Any]]] = []
    faults: list[Fault] = []
    for number, row in found:
        if isinstance(row, Fault):
            faults.append(row)
        elif _BROKEN.search(json.dumps(row, ensure_ascii=False)):
            faults.append(Fault(number, "encoding", "not UTF-8; save the file as UTF-8"))
        else:
            rows.append((number, row))
    return Records(columns, rows, faults, encoding)


def _csv(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, Any] | Fault]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    found: list[tuple[int, dict[str, Any] | Fault]] = []
    while True:
        line, number = reader.line_num + 1, len(found) + 1
        try:
            cells = next(reader)
        except StopIteration:
            return columns, found
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise YapoError(f"{path}: a quote opened in line {line} or below is never closed; close it") from None
            if not columns:
                raise YapoError(f"{path}: the header cannot be read ({error}); name the columns, with commas between") from None
            found.append((number, Fault(number, "quotes", f"line {reader.line_num}: {error}; double inner quotes")))
            continue
        if not columns:
            columns = _header(path, cells) if cells else []
        elif len(cells) == len(columns):
            found.append((number, dict(zip(columns, cells, strict=True))))
        elif cells:
            detail = f"{len(cells)} cells, the header has {len(columns)}; quote cells that contain a comma"
            found.append((number, Fault(number, "cells", detail)))


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [name.strip() for name in cells]
    separator = next((mark for mark in (";", "\t") if mark in names[0]), None)
    if len(names) == 1 and separator:
        raise YapoError(f"{path}: cells are separated by {separator!r}; save it with commas")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise YapoError(f"{path}: the header names column {twice[0]!r} twice; rename or remove one")
    return names


def _jsonl(text: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Fault(number, "json", f"not JSON ({error}); write one object a line")
                continue
            yield number, _object(number, value)


def _json(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise YapoError(f"{path}: not JSON ({error}); write a list of objects, or one object a line into a .jsonl") from None
    if not isinstance(values, list):
        raise YapoError(f"{path}: holds {type(values).__name__}; write a list of objects")
    for number, value in enumerate(values, start=1):
        yield number, _object(number, value)


def _object(number: int, value: Any) -> dict[str, Any] | Fault:
    if isinstance(value, dict):
        return value
    return Fault(number, "json", f'{type(value).__name__} where an object belongs; write {{"column": value, ...}}')
