"""Files written whole or not at all, and read with errors that name them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yapo.errors import YapoError
from yapo.seal import BLANK, NAME, parquet_place, seal


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place only when the block ends without an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise YapoError(f"{path}: cannot write here ({error.strerror}); give a folder you may write to") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, two-space indented, with a final line end."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file; run the stage that makes it") from None
    except ValueError as error:
        raise YapoError(f"{path}: not valid JSON ({error}); delete it and run the stage that makes it again") from None


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table without its index, with a digest that reading checks (``yapo.seal``)."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with replacing(path) as temporary:
        with pq.ParquetWriter(temporary, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({NAME: BLANK})
        seal(temporary, parquet_place(temporary))


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that identify a JSON-like value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_digest(*paths: Path) -> str:
    """Twelve hexadecimal digits that identify the contents of files, in the order given."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]
