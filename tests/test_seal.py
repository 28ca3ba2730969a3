"""The digest inside a file: a flipped byte anywhere is noticed, or changes nothing that is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.files import write_parquet
from yapo.tensors import load_tensors, save_tensors

TENSORS = {"a": torch.arange(6, dtype=torch.float32), "b": torch.tensor(3), "c": torch.linspace(0, 1, 3).bfloat16()}
TABLE = pd.DataFrame({"question_id": ["a1", "b2"] * 4, "phrasing": range(8), "options": [["x", "y"]] * 8})


def write_tensors(path: Path) -> None:
    save_tensors(path, TENSORS, {"note": 'a "yapo_digest": "xxh3:' + "0" * 32 + '" in the header'})


def read_tensors(path: Path) -> object:
    tensors, header = load_tensors(path)
    return {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()}, header


def write_rows(path: Path) -> None:
    write_parquet(path, TABLE)


def read_rows(path: Path) -> object:
    return read_table(path).map(str).to_dict()


@pytest.mark.parametrize(("write", "read", "every"), [(write_tensors, read_tensors, 7), (write_rows, read_rows, 53)])
def test_flipped_bytes_are_noticed(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[[Path], object], every: int
) -> None:
    path, again = tmp_path / "file", tmp_path / "again"
    write(path)
    write(again)
    whole, held = path.read_bytes(), read(path)
    assert again.read_bytes() == whole
    errors = []
    for place in range(0, len(whole), every):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert read(path) == held  # a flip in the name of the digest: nothing to compare with, and nothing else changed
        except YapoError as error:
            errors.append(str(error))
    assert len(errors) >= 0.9 * len(range(0, len(whole), every))
    assert all(str(path) in error and "\n" not in error for error in errors)


def test_files_of_other_tools_have_no_digest_and_are_read(tmp_path: Path) -> None:
    TABLE.to_parquet(tmp_path / "table.parquet", index=False)
    assert read_table(tmp_path / "table.parquet")["phrasing"].tolist() == list(range(8))


def test_a_digest_in_the_rows_is_not_that_of_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"yapo_digest": ["yapo_digest xxh3:" + "0" * 32] * 3, "n": np.arange(3)})
    write_parquet(tmp_path / "table.parquet", frame)
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.parquet"), frame)
