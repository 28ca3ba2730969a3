"""The report of a study around the tables: the rows of all its countries in, tables, figures and finding out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from yapo.config import Config
from yapo.dag.scope import studied
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.paths import Paths
from yapo.reporting.finding import Finding
from yapo.reporting.style import write_figure
from yapo.reporting.tables import Table, write_tables
from yapo.studies.base import get_study
from yapo.studies.checks import check_methods


def study_countries(config: Config, name: str) -> dict[str, str]:
    """Return the countries of a study and the folder of each one's language.

    Raises:
        YapoError: the study cannot take the experiment's methods, or none of its countries is in the experiment.
    """
    check_methods(config, name)
    countries = studied(config, known_countries(config.data), getattr(config.studies, name).countries)
    return countries or _refuse(config, name, "countries")


def read_rows(config: Config, name: str, *files: str) -> pd.DataFrame:
    """Return the rows of a study, of all its countries: ``<country>/studies/<file>.parquet``.

    Args:
        config: the configuration of the study's report.
        name: the study.
        files: which of its rows; all of them if none is named.

    Raises:
        YapoError: see ``study_countries``; or none of the study's methods is in the experiment.
    """
    paths, countries = Paths.of(config), study_countries(config, name)
    names = files or get_study(name).row_names(config) or _refuse(config, name, "methods")
    frames = [
        read_table(paths.study_rows(file, language_folder, country))
        for country, language_folder in countries.items()
        for file in names
    ]
    return pd.concat(frames, ignore_index=True)


def _refuse(config: Config, name: str, key: str) -> Any:
    named = list(getattr(getattr(config.studies, name), key))
    raise YapoError(f"studies.{name}.{key}={named}: none of them is in this experiment; name one that is")


def write_report(
    config: Config,
    name: str,
    template: Path,
    values: Mapping[str, Any],
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    pages: Sequence[str] = (),
) -> None:
    """Write the tables, the figures and the finding of a study.

    Args:
        config: the configuration of the study's report.
        name: the study.
        template: its text, see ``Finding.from_template``.
        values: what the template prints.
        tables, figures: by name. A table with a page in ``pages`` is linked there and not shown.
        pages: further pages, relative to the study's folder.
    """
    paths = Paths.of(config)
    write_tables(tables, paths.root / "tables")
    for figure_name, figure in figures.items():
        write_figure(figure, paths.root / "figures" / figure_name)
    shown = [table for table in tables if f"tables/{table}.html" not in pages]
    Finding.from_template(name, get_study(name).title, template, values, shown, figures, pages).save(paths.finding(name))
