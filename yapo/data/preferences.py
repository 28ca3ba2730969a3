"""Preference pairs: ``question, matching, not_matching`` (as published with BiPO) or ``prompt, chosen, rejected``.

Published files are dirty. A row that cannot make a pair is dropped and counted, never guessed at; texts are kept as they stand
but for spaces around them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import SplitConfig
from yapo.data.messages import as_texts
from yapo.data.records import ENDINGS, Fault, Records, examples, read_records
from yapo.data.split import leakage_report, split_facts
from yapo.data.text import is_blank, shown, text_key
from yapo.errors import YapoError, nearest
from yapo.files import digest

LAYOUTS = (("prompt", "chosen", "rejected"), ("question", "matching", "not_matching"))

# An index written by a spreadsheet or by pandas; other columns that are not needed are ignored too, and named.
_INDEX = re.compile(r"^(unnamed: ?\d+|index|id|)$", re.IGNORECASE)
# Left from another format: a backslash before a quote, n, t, $ or another backslash.
_ESCAPE = re.compile(r"\\[\\\"'nrt$]")


def load_preferences(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read, clean and check a preference file.

    Dropped, in this order, each row for its first reason: records that cannot be read (``encoding``, ``cells``, ``quotes``,
    ``json``; see ``read_records``), cells that are no text (``not_text``), empty cells (``empty``), answers that are the same but
    for case, spacing and outer punctuation (``equal``), pairs that occurred before, compared likewise (``duplicate``). Kept and
    counted: prompts that occur again with other answers, and texts with leftover escapes.

    Returns:
        A table with a row for each pair, in the file's order, and the report, ready for JSON. Its columns: ``pair_id`` (of the
        three texts: the same in every file that holds the pair), ``prompt``, ``chosen``, ``rejected``, ``source_row`` (from 1).

    Raises:
        YapoError: the file cannot be read, has neither set of columns or both, or no usable row.
    """
    if path.suffix not in ENDINGS:
        raise YapoError(f"{path}: a preference file must end in {', '.join(ENDINGS)}")
    return check_preferences(read_records(path), path)


def check_preferences(records: Records, source: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Clean and check preferences that were read, or that a caller has in memory; see ``load_preferences``.

    Args:
        records: one a pair. Cells may be chat messages (``yapo.data.messages``).
        source: what errors name.
    """
    rows_of_texts = [(number, as_texts(cells)) for number, cells in records.rows]
    columns = list(dict.fromkeys([*records.columns, *(name for _, cells in rows_of_texts for name in cells)]))
    records = replace(records, rows=rows_of_texts, columns=columns)
    layout, names = _layout(source, records)
    faults, rows, seen = list(records.faults), [], set[tuple[str, ...]]()
    for number, cells in records.rows:
        texts = [cells.get(name) for name in names]
        fault = _fault(texts, layout, seen)
        if fault:
            faults.append(Fault(number, *fault))
            continue
        prompt, chosen, rejected = (str(text).strip() for text in texts)
        pair_id = digest([prompt, chosen, rejected])
        rows.append({"pair_id": pair_id, "prompt": prompt, "chosen": chosen, "rejected": rejected, "source_row": number})
    report = _report(source, records, layout, names, faults, rows)
    if not rows:
        why = ", ".join(f"{reason} {n}" for reason, n in report["dropped"].items()) or "it has none"
        raise YapoError(f"{source}: no usable row ({why}); {', '.join(layout)} must be three texts, the last two different")
    return pd.DataFrame(rows), report


def split_preferences(pairs: pd.DataFrame, config: SplitConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the pairs with a column ``split``, all pairs of a prompt in one split, and the leakage report.

    Prompts count as one if they are the same text (``yapo.data.text``).

    Raises:
        YapoError: too few prompts for three splits.
    """
    facts = _facts(pairs)
    split = split_facts(facts, config)
    assigned = dict(zip(split["question_id"], split["split"], strict=True))
    pairs = pairs.assign(split=facts["question_id"].map(assigned).to_numpy())
    return pairs, split_report(pairs)


def split_report(pairs: pd.DataFrame) -> dict[str, Any]:
    """Return how many prompts (``facts``) and pairs (``items``) each split holds.

    Raises:
        YapoError: a prompt stands in two splits.
    """
    facts = _facts(pairs)
    report = leakage_report(facts, facts[["question_id"]].assign(split=pairs["split"].to_numpy()).drop_duplicates())
    return {name: value for name, value in report.items() if name not in ("topics", "joined")}


def _facts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the prompts as items; the same text is one fact."""
    ids = [digest(text_key(prompt)) for prompt in pairs["prompt"]]
    return pd.DataFrame({"question_id": ids, "question": pairs["prompt"].to_numpy()}).assign(language="", topic="")


def _layout(path: Path | str, records: Records) -> tuple[tuple[str, ...], list[str]]:
    """Return the layout, and what its columns are called in the file."""
    called: dict[str, str] = {}
    for name in records.columns:
        first = called.setdefault(name.strip().lower(), name)
        if first != name and any(name.strip().lower() in layout for layout in LAYOUTS):
            raise YapoError(f"{path}: columns {first!r} and {name!r} are one name; rename or remove one")
    fitting = [layout for layout in LAYOUTS if set(layout) <= set(called)]
    if len(fitting) == 1:
        return fitting[0], [called[name] for name in fitting[0]]
    found = shown(", ".join(records.columns), bare=True) or "none"
    if fitting:
        raise YapoError(f"{path}: both sets of columns are there ({found}); remove one of them")
    wanted = max(LAYOUTS, key=lambda layout: len(set(layout) & set(called)))
    missing = [name for name in wanted if name not in called]
    hints = "".join(nearest(name, set(called) - set(wanted)) for name in missing)
    sets = " or ".join(", ".join(layout) for layout in LAYOUTS)
    raise YapoError(f"{path}: no column {', '.join(missing)}; {hints}found {found}; name the columns {sets}")


def _fault(texts: list[Any], layout: tuple[str, ...], seen: set[tuple[str, ...]]) -> tuple[str, str] | None:
    """Say why these cells are no new pair; a good pair is put into ``seen``."""
    for name, text in zip(layout, texts, strict=True):
        if text is not None and not isinstance(text, str):
            return "not_text", f"{name} is {shown(text)}"
    for name, text in zip(layout, texts, strict=True):
        if is_blank(text or ""):
            return "empty", f"{name} is empty"
    keys = tuple(map(text_key, texts))
    if keys[1] == keys[2]:
        return "equal", f"both answers are '{texts[1].strip()}'"
    if keys in seen:
        return "duplicate", f"'{texts[0].strip()}'"
    seen.add(keys)
    return None


def _report(
    path: Path | str,
    records: Records,
    layout: tuple[str, ...],
    names: list[str],
    faults: list[Fault],
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    ignored = [name for name in records.columns if name not in names]
    prompts = Counter(text_key(row["prompt"]) for row in rows)
    return {
        "source": str(path),
        "encoding": records.encoding,
        "layout": list(layout),
        "index_columns": [name for name in ignored if _INDEX.match(name)],
        "ignored_columns": [name for name in ignored if not _INDEX.match(name)],
        "rows": len(records.rows) + len(records.faults),
        "pairs": len(rows),
        "dropped": dict(sorted(Counter(fault.reason for fault in faults).items())),
        "dropped_examples": examples(sorted(faults, key=lambda fault: fault.row)),
        "prompts": len(prompts),
        "pairs_of_repeated_prompts": sum(n for n in prompts.values() if n > 1),
        "rows_with_escapes": [
            row["source_row"] for row in rows if any(_ESCAPE.search(row[name]) for name in ("prompt", "chosen", "rejected"))
        ],
    }
