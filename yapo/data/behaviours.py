"""Behaviours from preference files: a folder for each, with ``train`` and perhaps ``test`` (csv, jsonl or json).

``matching`` (or ``chosen``) is the answer that shows the behaviour, as in the files published with BiPO (arXiv 2406.00045).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import SplitConfig
from yapo.data.preferences import load_preferences, split_preferences, split_report
from yapo.data.records import ENDINGS
from yapo.data.text import text_key
from yapo.errors import YapoError, unknown
from yapo.files import digest
from yapo.names import check_key

LANGUAGE = "behaviours"  # the folder that stands where a country's language does


def behaviours_in(folder: str, key: str = "data.path") -> list[str]:
    """Return the names of the behaviours in a folder, sorted; ``key`` is the setting that named it.

    Raises:
        YapoError: there is no such folder, none in it has a train file, or the name of one that has is no key.
    """
    path = Path(folder)
    if not path.is_dir():
        raise YapoError(f"{key}={folder}: no such folder; name one that holds a folder for each behaviour")
    names = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and _find(entry, "train"))
    if not names:
        raise YapoError(
            f"{key}={folder}: no folder in it has a train file; "
            f"give each behaviour one ({', '.join('train' + end for end in ENDINGS)})"
        )
    called: dict[str, str] = {}  # tables write - and _ alike
    for name in names:
        first = called.setdefault(check_key(name, f"{key}={folder}: folder").replace("-", "_"), name)
        if first != name:
            raise YapoError(f"{key}={folder}: folders {first!r} and {name!r} are one name; rename or remove one")
    return names


def load_behaviour(folder: str, name: str, config: SplitConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the pairs of one behaviour, each in a split, and what became of the files' rows.

    The pairs of ``test`` are the test split; those of ``train`` are dealt to the other two, all pairs of a question to one of
    them, and questions that ``test`` asks too are left out and counted. Without a test file, ``train`` is dealt to all three.

    Returns:
        The columns of ``load_preferences``, ``split``, ``question_id`` (the same for all pairs of a question) and ``phrasing``
        (counts the pairs of a question); and the report, ready for JSON.

    Raises:
        YapoError: there is no such behaviour, or a file cannot be used.
    """
    if name not in (known := behaviours_in(folder)):
        raise unknown("behaviour", "country", name, known)
    path = Path(folder) / name
    train_file, test_file = _find(path, "train"), _find(path, "test")
    assert train_file is not None  # or it were not known
    pairs, read = load_preferences(train_file)
    report: dict[str, Any] = {"train": read}
    if test_file is not None:
        test, report["test"] = load_preferences(test_file)
        asked = set(map(text_key, test["prompt"]))
        leaks = pairs["prompt"].map(text_key).isin(asked)
        report["train_questions_also_in_test"] = int(leaks.sum())
        pairs = _dealt(train_file, pairs[~leaks].reset_index(drop=True), config)
        pairs = pairs.assign(split=pairs["split"].replace("test", "train"))
        pairs = pd.concat([pairs, test.assign(split="test")], ignore_index=True)
    else:
        pairs = _dealt(train_file, pairs, config)
    report["split"] = split_report(pairs)
    keys = pairs["prompt"].map(text_key)
    pairs = pairs.assign(question_id=keys.map(digest), phrasing=keys.groupby(keys).cumcount())
    return pairs, report


def _dealt(path: Path, pairs: pd.DataFrame, config: SplitConfig) -> pd.DataFrame:
    if pairs.empty:
        raise YapoError(f"{path}: every question of it is also in the test file; give others")
    try:
        return split_preferences(pairs, config)[0]
    except YapoError as error:  # names no file
        raise YapoError(f"{path}: {error}") from None


def _find(folder: Path, stem: str) -> Path | None:
    """Return the file of that name, whatever its ending; two are refused."""
    found = [path for end in ENDINGS if (path := folder / f"{stem}{end}").is_file()]
    if len(found) > 1:
        raise YapoError(f"{folder}: both {found[0].name} and {found[1].name} are there; remove one of them")
    return found[0] if found else None
