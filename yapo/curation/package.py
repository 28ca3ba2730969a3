"""The data set as a folder for the Hugging Face hub: a parquet file for each split, and a card. Nothing is uploaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from yapo.checks import SPLITS, Role
from yapo.config.data import Licence, SplitConfig
from yapo.curation.places import Language
from yapo.data.split import leakage_report, split_facts
from yapo.files import scratch_folder, write_parquet, write_text

CARD = Path(__file__).with_name("card.md.j2")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
# Identifiers of the hub for licences that it does not list.
_OTHER: dict[Licence, str] = {"evaluation-only": "other"}


def split_items(items: pd.DataFrame, config: SplitConfig, role: Role) -> dict[str, pd.DataFrame]:
    """Return the items of each split, all in ``test`` for that role; no fact stands on two sides.

    Raises:
        YapoError: there are too few facts to split.
    """
    if role == "test":
        return {"test": items}
    split = split_facts(items, config)
    leakage_report(items, split)
    joined = items.merge(split, on="question_id")
    return {name: joined[joined["split"] == name].drop(columns="split").reset_index(drop=True) for name in SPLITS}


@dataclass(frozen=True)
class Description:
    """Facts of a data set for its card that its items do not tell.

    Attributes:
        title: of the card.
        licence, role: of the data set.
        generator: who wrote the answers.
        funnel: Markdown of what each step dropped.
    """

    title: str
    licence: Licence
    role: Role
    generator: str
    funnel: str


def write_hub_folder(
    folder: Path, splits: Mapping[str, pd.DataFrame], languages: Mapping[str, Language], about: Description
) -> None:
    """Write ``data/<split>.parquet`` and ``README.md``; the folder is replaced whole.

    Args:
        folder: to be written.
        splits: items by split.
        languages: by name, those of the items at least.
        about: what else the card says.
    """
    with scratch_folder(folder.parent) as scratch:
        made = scratch / "hub"
        for name, items in splits.items():
            write_parquet(made / "data" / f"{name}.parquet", items, about.role)
        write_text(made / "README.md", card(splits, languages, about))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def card(splits: Mapping[str, pd.DataFrame], languages: Mapping[str, Language], about: Description) -> str:
    """Return the card: a YAML header that the hub reads, and what the data set is."""
    items = pd.concat(splits.values(), ignore_index=True)
    names = list(dict.fromkeys(items["language"]))
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)  # also a YAML text
    return environment.from_string(CARD.read_text(encoding="utf-8")).render(
        **vars(about),
        codes=[languages[name].code for name in names],
        hub_licence=_OTHER.get(about.licence, about.licence),
        size=next((size for most, size in _SIZES if len(items) < most), "n>1M"),
        splits={name: len(part) for name, part in splits.items()},
        questions=items["question_id"].nunique(),
        items=len(items),
        countries={name: sorted(set(items.loc[items["language"] == name, "country"])) for name in names},
    )
