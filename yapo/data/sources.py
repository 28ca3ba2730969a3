"""The data sets that a study can take its items from, one record each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import DataConfig
from yapo.config.data import Source
from yapo.errors import YapoError
from yapo.names import language_folders

Report = dict[str, Any]  # what was dropped and decided on the way, ready for JSON


@dataclass(frozen=True)
class DataSet:
    """A data set that ``data.source`` can name.

    Attributes:
        countries: returns the countries and the folder of each one's language, in the order of the data. It is given the
            settings, and the setting that named a folder of preference files, which errors name.
        load: returns the items, not yet checked, and a report; no report where every row is taken or none. None for
            preference files: they hold pairs, not items.
        place: what an error about an item begins with; empty for ``data.path``.
    """

    countries: Callable[[DataConfig, str], dict[str, str]]
    load: Callable[[DataConfig], tuple[pd.DataFrame, Report | None]] | None
    place: str = ""


# Every record is made where it is asked for: what some data sets import would slow every stage.


def _atlas() -> DataSet:
    from yapo.data.atlas_items import countries_in_atlas, load_atlas_items

    return DataSet(lambda _config, _key: countries_in_atlas(), lambda config: (load_atlas_items(config.seed), None), "the atlas")


def _table() -> DataSet:
    from yapo.data.item_table import read_item_table

    def countries(config: DataConfig, _key: str) -> dict[str, str]:
        pairs = load_items(config)[["country", "language"]].itertuples(index=False, name=None)
        return language_folders(pairs, config.path)

    return DataSet(countries, lambda config: (read_item_table(Path(config.path)), None))


def _deep_culture_lense() -> DataSet:
    from yapo.data.deep_culture_lense import countries_in, load_deep_culture_lense

    return DataSet(lambda config, _key: countries_in(config.path), load_deep_culture_lense)


def _localization_gap() -> DataSet:
    from yapo.data.localization_gap import countries_in, load_localization_gap

    return DataSet(
        lambda config, _key: language_folders(countries_in(config.path).items(), config.path),
        lambda config: load_localization_gap(config.path),
    )


def _preferences() -> DataSet:
    from yapo.data.behaviours import LANGUAGE, behaviours_in

    return DataSet(lambda config, key: dict.fromkeys(behaviours_in(config.path, key), LANGUAGE), load=None)


DATA_SETS: dict[Source, Callable[[], DataSet]] = {
    "atlas": _atlas,
    "table": _table,
    "deep_culture_lense": _deep_culture_lense,
    "localization_gap": _localization_gap,
    "preferences": _preferences,
}


def load_items(config: DataConfig) -> pd.DataFrame:
    """Return all items of the configured source, checked."""
    return load_items_and_report(config)[0]


def load_items_and_report(config: DataConfig) -> tuple[pd.DataFrame, Report | None]:
    """Return the items, and what was dropped and decided on the way; no report from sources that take every row or none.

    Raises:
        RefusedData: more was lost than the configuration allows; the error carries the report.
        YapoError: the source cannot be read or holds a wrong item.
    """
    from yapo.data.schema import check_items  # here: known_countries, which every plan asks, has no use for pandera

    data_set = DATA_SETS[config.source]()
    if data_set.load is None:
        raise YapoError(f"data.source={config.source}: preference files hold no items; the study of behaviours reads them")
    items, report = data_set.load(config)
    return check_items(items, data_set.place or Path(config.path)), report


def known_countries(config: DataConfig, key: str = "data.path") -> dict[str, str]:
    """Return the countries of the configured source and the folder of each one's language, in the source's order.

    ``key`` is the setting that named a folder of preference files; errors name it.

    Raises:
        YapoError: the source cannot be read, or a name in it cannot become a folder; see ``yapo.names``.
    """
    return DATA_SETS[config.source]().countries(config, key)
