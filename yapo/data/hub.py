"""Read a data set of the Hugging Face hub, or a local copy of one. Data files only: no code of a data set is run, no pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yapo.data.text import shown
from yapo.errors import YapoError, nearest
from yapo.files import scratch_folder
from yapo.hub import Repo, cached_snapshot, download_snapshot
from yapo.names import NEWEST

if TYPE_CHECKING:
    from datasets import Dataset


# What the libraries raise on damaged data, and on JSON beside them that is of another shape than they wrote.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)


def is_copy(path: str) -> bool:
    """Tell whether ``path`` is a folder here; anything else is asked of the hub."""
    return Path(path).is_dir()


def read_hub(path: str, revision: str, required: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read a data set, all its splits below one another.

    Args:
        path: a folder written by ``save_to_disk``, a folder with parquet files at any depth (as the hub keeps them), or a hub id.
        revision: commit, branch or tag of the hub; empty for the newest.
        required: columns that must be there.
        optional: columns that are taken where they are there.

    Returns:
        These columns as published, and ``row``: split or parquet file, and number from 0 ("train 17").

    Raises:
        YapoError: nothing can be read there, or a column is missing.
    """
    from datasets.exceptions import DatasetsError  # slow to import, and needed by this source alone

    if not is_copy(path) and (Path(path).exists() or path.count("/") != 1 or path.startswith((".", "/", "~"))):
        raise YapoError(f"data.path={path}: no such folder; give a folder with a copy of the data, or a hub id (owner/name)")
    try:
        with scratch_folder() as cache:  # for copies: a cache that outlives them could answer for other files
            splits = _splits(path, revision, str(cache))
            if not splits:
                raise FileNotFoundError("its list of splits is empty")
            frames = [_frame(name, split, (*required, *optional)) for name, split in splits.items()]
    except (*_UNREADABLE, DatasetsError) as error:
        place = "no data set in this folder can be read" if is_copy(path) else "neither a folder here nor readable on the hub"
        detail = shown(" ".join(str(error.__cause__ or error).split()), bare=True)
        raise YapoError(f"data.path={path}: {place} ({detail}); check the path, the network and data.revision") from None
    names = sorted({name for split in splits.values() for name in split.column_names})
    table = pd.concat(frames, ignore_index=True)
    missing = [name for name in required if name not in table]
    if missing:
        near = nearest(missing[0], names)
        raise YapoError(f"data.path={path}: no column {', '.join(missing)}; {near}found {shown(', '.join(names), bare=True)}")
    return table


def _splits(path: str, revision: str, cache: str) -> dict[str, Dataset]:
    import datasets

    datasets.disable_progress_bars()
    folder = Path(path)
    if not is_copy(path):
        repo = Repo("data.path", path, revision or NEWEST, "dataset")
        folder = cached_snapshot(repo) or download_snapshot(repo)
    if (folder / "dataset_dict.json").exists():
        return dict(datasets.load_from_disk(str(folder)))
    if (folder / "state.json").exists():
        return {"row": datasets.load_from_disk(str(folder))}
    # File by file: a folder's own README could send load_dataset to other files, or to the network. It refuses empty files.
    files = [file for file in sorted(folder.rglob("*.parquet")) if _rows_in(file)]
    if not files:
        raise FileNotFoundError("neither parquet files with rows nor what save_to_disk writes")
    return {str(file.relative_to(folder)): datasets.Dataset.from_parquet(str(file), cache_dir=cache) for file in files}


def _rows_in(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from None


def _frame(name: str, split: Dataset, columns: Sequence[str]) -> pd.DataFrame:
    wanted = split.select_columns([column for column in columns if column in split.column_names])
    return cast(pd.DataFrame, wanted.to_pandas()).astype(object).assign(row=[f"{name} {i}" for i in range(len(split))])
