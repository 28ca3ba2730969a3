"""The data sets that a study can take its items from, one record each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.checks import VARIANTS, Role, Variant
from yapo.config import DataConfig
from yapo.config.data import Licence, Source
from yapo.errors import YapoError
from yapo.files import stated_role
from yapo.names import language_folders

Report = dict[str, Any]  # what was dropped and decided on the way, ready for JSON


@dataclass(frozen=True)
class DataSet:
    """A data set that ``data.source`` can name.

    Attributes:
        countries: returns the places (``yapo.names``) of the data, in their order, and the folder of each one's language. It is
            given the settings, and the setting that named a folder of preference files, which errors name.
        load: returns the items, not yet checked, and a report; no report where every row is taken or none. None where it holds
            no items.
        place: what an error about an item begins with; empty for ``data.path``.
        title: what it is called.
        origin: where to get it; empty for data of one's own.
        licence: under which it is published; None for data of one's own, and where its card says it.
        role: what it may be used for; a table's is its own (``role_of``).
        forms: of its questions.
        instead: of a set without items: what it holds, and what reads it.
    """

    countries: Callable[[DataConfig, str], dict[str, str]]
    load: Callable[[DataConfig], tuple[pd.DataFrame, Report | None]] | None
    place: str = ""
    title: str = ""
    origin: str = ""
    licence: Licence | None = None
    role: Role = "train"
    forms: tuple[Variant, ...] = VARIANTS
    instead: str = ""


# Every record is made where it is asked for: what some data sets import would slow every stage.


def _atlas() -> DataSet:
    from yapo.data.atlas_items import countries_in_atlas, load_atlas_items

    return DataSet(
        lambda _config, _key: countries_in_atlas(),
        lambda config: (load_atlas_items(config.seed), None),
        "the atlas",
        title="Culture atlas",
        origin="world/atlas of this repository",
        licence="apache-2.0",
    )


def _regions() -> DataSet:
    from yapo.data.atlas_items import load_regional_items, places_in_regional_atlas

    return DataSet(
        lambda _config, _key: places_in_regional_atlas(),
        lambda config: (load_regional_items(config.seed), None),
        "the regional atlas",
        title="Regional atlas",
        origin="world/regions of this repository",
        licence="apache-2.0",
    )


def _table() -> DataSet:
    from yapo.data.item_table import read_item_table
    from yapo.data.schema import by_place

    def countries(config: DataConfig, _key: str) -> dict[str, str]:
        pairs = by_place(load_items(config))[["country", "language"]].itertuples(index=False, name=None)
        return language_folders(pairs, config.path)

    return DataSet(countries, lambda config: (read_item_table(Path(config.path)), None), title="Your own table")


def _deep_culture_lense() -> DataSet:
    from yapo.data.deep_culture_lense import countries_in, load_deep_culture_lense

    return DataSet(
        lambda config, _key: countries_in(config.path),
        load_deep_culture_lense,
        title="Deep-Culture-Lense",
        origin="MBZUAI-Paris/Deep-Culture-Lense of the hub",
    )


def _published(
    title: str,
    origin: str,
    licence: Licence,
    countries_in: Callable[[str], dict[str, str]],
    load: Callable[[DataConfig], tuple[pd.DataFrame, Report | None]],
    role: Role = "train",
    forms: tuple[Variant, ...] = VARIANTS,
) -> DataSet:
    """Return the record of a set of questions; ``countries_in`` returns each country's language of the copy at a path."""
    return DataSet(
        lambda config, _key: language_folders(countries_in(config.path).items(), config.path),
        load,
        title=title,
        origin=origin,
        licence=licence,
        role=role,
        forms=forms,
    )


def _localization_gap() -> DataSet:
    from yapo.data.localization_gap import countries_in, load_localization_gap

    origin = "github.com/vminvsky/localization-gap"
    return _published("Localization gap", origin, "mit", countries_in, lambda config: load_localization_gap(config.path))


def _blend() -> DataSet:
    from yapo.data.blend import LAYOUT, countries_in, load_blend

    return _published(
        "BLEnD, multiple choice",
        LAYOUT.origin,
        "cc-by-sa-4.0",
        countries_in,
        lambda config: load_blend(config.path, config.seed),
        "test",
        ("localized",),
    )


def _culturalbench() -> DataSet:
    from yapo.data.culturalbench import LAYOUT, countries_in, load_culturalbench

    return _published(
        "CulturalBench-Easy",
        LAYOUT.origin,
        "cc-by-4.0",
        countries_in,
        lambda config: load_culturalbench(config.path),
        "test",
        ("localized",),
    )


def _normad() -> DataSet:
    from yapo.data.normad import LAYOUT, countries_in, load_normad

    return _published("NormAd", LAYOUT.origin, "cc-by-4.0", countries_in, lambda config: load_normad(config.path, config.seed))


def _include() -> DataSet:
    from yapo.data.include import LAYOUT, countries_in, load_include

    return _published(
        "INCLUDE (base)",
        LAYOUT.origin,
        "apache-2.0",
        countries_in,
        lambda config: load_include(config.path),
        "test",
        ("nonlocalized",),
    )


def _arabculture() -> DataSet:
    from yapo.data.arabculture import LAYOUT, countries_in, load_arabculture

    return _published(
        "ArabCulture",
        LAYOUT.origin,
        "cc-by-nc-sa-4.0",
        countries_in,
        lambda config: load_arabculture(config.path, config.seed),
        "test",
    )


def _global_opinions() -> DataSet:
    from yapo.data.global_opinions import LANGUAGE, LAYOUT, countries_in

    return DataSet(
        lambda config, _key: dict.fromkeys(countries_in(config.path), LANGUAGE),
        load=None,
        title="GlobalOpinionQA",
        origin=LAYOUT.origin,
        licence="cc-by-nc-sa-4.0",
        role="test",
        instead="opinions have no right answer; the study opinions reads them: studies.opinions.path",
    )


def _care() -> DataSet:
    from yapo.data.care import LANGUAGE, LAYOUT, cultures_in

    return DataSet(
        lambda config, _key: dict.fromkeys(cultures_in(config.path), LANGUAGE),
        load=None,
        title="CARE",
        origin=LAYOUT.origin,
        licence="mit",
        instead="rated answers are no items; python -m yapo.stages.preferences makes preference files of them",
    )


def _preferences() -> DataSet:
    from yapo.data.behaviours import LANGUAGE, behaviours_in

    return DataSet(
        lambda config, key: dict.fromkeys(behaviours_in(config.path, key), LANGUAGE),
        load=None,
        title="Your own preference files",
        instead="preference files hold no items; the study of behaviours reads them",
    )


DATA_SETS: dict[Source, Callable[[], DataSet]] = {
    "atlas": _atlas,
    "table": _table,
    "deep_culture_lense": _deep_culture_lense,
    "localization_gap": _localization_gap,
    "blend": _blend,
    "culturalbench": _culturalbench,
    "normad": _normad,
    "include": _include,
    "arabculture": _arabculture,
    "global_opinions": _global_opinions,
    "care": _care,
    "preferences": _preferences,
    "regions": _regions,
}


def load_items(config: DataConfig) -> pd.DataFrame:
    """Return all items of the configured source, checked."""
    return load_items_and_report(config)[0]


def load_items_and_report(config: DataConfig) -> tuple[pd.DataFrame, Report | None]:
    """Return the items, and what was dropped and decided on the way; no report from sources that take every row or none.

    Raises:
        RefusedData: more was lost than the configuration allows; the error carries the report.
        UnreviewedForms: the questions need a form without their country, and nobody has read the proposals in it.
        YapoError: the source cannot be read or holds a wrong item.
    """
    from yapo.data.forms import with_review  # here: known_countries, which every plan asks, has no use for these
    from yapo.data.schema import check_items

    data_set = DATA_SETS[config.source]()
    if data_set.load is None:
        raise YapoError(f"data.source={config.source}: {data_set.instead}")
    items, report = data_set.load(config)
    items = check_items(items, data_set.place or Path(config.path))
    if config.forms == "published":
        return items, report
    if data_set.forms != ("localized",):
        raise YapoError(f"data.forms=both: not all questions of {config.source} name their country; leave data.forms out")
    both, counts = with_review(items, config.review)
    return check_items(both, config.review), {**(report or {}), "forms": counts}


def known_countries(config: DataConfig, key: str = "data.path") -> dict[str, str]:
    """Return the places of the configured source and the folder of each one's language, in the source's order.

    ``key`` is the setting that named a folder of preference files; errors name it.

    Raises:
        YapoError: the source cannot be read, or a name in it cannot become a folder; see ``yapo.names``.
    """
    return DATA_SETS[config.source]().countries(config, key)


def role_of(config: DataConfig) -> Role:
    """Return what the configured source may be used for: a table's role is the one it states, or ``data.role``."""
    if config.source == "table":
        return "test" if "test" in (config.role, stated_role(Path(config.path))) else "train"
    return "test" if config.role == "test" else DATA_SETS[config.source]().role


def forms_of(config: DataConfig) -> tuple[Variant, ...]:
    """Return the forms in which the questions of the configured source are asked; both for a table, which may have fewer."""
    return VARIANTS if config.forms == "both" else DATA_SETS[config.source]().forms


def refuse_training(config: DataConfig, what: str) -> None:
    """Refuse data that are for evaluation only.

    Args:
        config: of the data.
        what: would be done with them, as an error says it: "vectors are trained".

    Raises:
        YapoError: names the data and what they may be used for.
    """
    if role_of(config) == "test":
        named = f"data.source={config.source}" if config.source != "table" else f"data.path={config.path}"
        raise YapoError(f"{named}: is for evaluation only, and {what} on it; give other data, or evaluate methods=[imported]")
