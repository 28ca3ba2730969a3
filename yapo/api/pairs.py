"""Preference pairs as a user gives them, and the part of them that is held out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yapo.checks import require
from yapo.data.preferences import check_preferences
from yapo.data.records import ENDINGS, Records, read_records
from yapo.data.text import shown, text_key
from yapo.errors import YapoError
from yapo.files import stated_role

Rows = Path | str | pd.DataFrame | Sequence[Mapping[str, Any]]
Pairs = Rows  # with prompt, chosen and rejected
FEWEST = 5  # pairs; a vector of fewer is that of their wording

log = logging.getLogger(__name__)


def read_pairs(pairs: Pairs) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read and check preference pairs.

    Args:
        pairs: a csv, json, jsonl or parquet file, a data frame, or a list of mappings; with the columns prompt, chosen and
            rejected (texts or single chat messages).

    Returns:
        The usable pairs, as ``yapo.data.preferences.load_preferences`` returns them, and how many rows were left out, by reason.

    Raises:
        YapoError: a column is missing, nothing can be read, fewer than ``FEWEST`` pairs are usable, or the file states that it is
            for evaluation only.
    """
    if isinstance(pairs, Path | str) and stated_role(Path(pairs)) == "test":
        raise YapoError(f"{pairs}: states that it is for evaluation only; give pairs that a vector may be trained on")
    records, source = records_of(pairs, "pairs")
    frame, report = check_preferences(records, source)
    left_out: dict[str, int] = report["dropped"]
    told = ", ".join(f"{reason} {n}" for reason, n in left_out.items())
    if left_out:
        log.warning("%s: %d of %d rows are left out: %s", source, sum(left_out.values()), report["rows"], told)
    if len(frame) < FEWEST:
        dropped = f" (left out: {told})" if told else ""
        raise YapoError(f"{source}: {len(frame)} usable pairs{dropped}; give at least {FEWEST}")
    return frame, left_out


def records_of(rows: Rows, name: str = "data") -> tuple[Records, str]:
    """Return the rows of a file, a data frame or a list, and what errors call them: the file, or ``name``.

    Raises:
        YapoError: there is no such file, or it cannot be read; something else is given, or nothing.
    """
    if not isinstance(rows, Path | str):
        return _records(rows, name), name
    path, source = Path(rows), str(rows)
    if path.suffix == ".parquet":
        return _records(_parquet(source), source), source
    if path.suffix not in ENDINGS:
        raise YapoError(f"{path}: must end in {', '.join((*ENDINGS, '.parquet'))}; save it as one of them")
    return read_records(path), source


def hold_out(pairs: pd.DataFrame, share: float, seed: int, source: str = "pairs") -> tuple[list[int], list[int]]:
    """Return the rows that train and those that are held out: all pairs of a prompt on one side.

    Args:
        pairs: with a column prompt.
        share: of the prompts that are held out, at least one.
        seed: decides which.

    Raises:
        YapoError: the share is none, or all pairs have one prompt.
    """
    require(0 < share < 1, "validation", share, "give the share of the prompts to hold out, above 0 and below 1")
    keys = [text_key(prompt) for prompt in pairs["prompt"]]
    prompts = list(dict.fromkeys(keys))
    if len(prompts) < 2:
        raise YapoError(f"{source}: all pairs have one prompt; give pairs of at least two, so that one can be held out")
    order = np.random.default_rng([seed, 4]).permutation(len(prompts))
    held = {prompts[i] for i in order[: min(len(prompts) - 1, max(1, round(share * len(prompts))))]}
    sides = ([i for i, key in enumerate(keys) if (key in held) is wanted] for wanted in (False, True))
    train, validation = sides
    return train, validation


def _records(rows: object, source: str) -> Records:
    """Return rows in memory as records; those that are no mapping are refused."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    if not isinstance(rows, Sequence) or isinstance(rows, bytes):
        raise YapoError(f"{source}={shown(rows)}: give a file, a data frame, or a list of dicts with prompt, chosen and rejected")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise YapoError(f"{source}, row {number}: {shown(row)} is no dict; give prompt, chosen and rejected")
    if not rows:
        raise YapoError(f"{source}: it is empty; give at least {FEWEST} pairs")
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))
    numbered = [(number, {str(name): value for name, value in row.items()}) for number, row in enumerate(rows, start=1)]
    return Records(columns, numbered, [], "")


def _parquet(path: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise YapoError(f"{path}: no such file") from None
    except ImportError:
        raise YapoError(f"{path}: parquet needs pyarrow; pip install pyarrow, or save it as csv or jsonl") from None
    except (OSError, ValueError) as error:
        raise YapoError(f"{path}: not a readable parquet file ({shown(str(error), bare=True)}); save it again") from None
