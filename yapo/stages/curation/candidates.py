"""Tables of candidates that the stages of curation hand on, and their settings' files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from yapo.config import Config
from yapo.config.curation import Step
from yapo.curation.places import Language, load_places
from yapo.curation.steps import STEPS, Outcome
from yapo.data.schema import read_table
from yapo.files import write_parquet
from yapo.paths import Paths


def read_kept(config: Config, step: Step, columns: list[str] | None = None) -> pd.DataFrame:
    """Return the candidates that a step kept, whole or of them these columns; their options are lists."""
    candidates = read_table(Paths.of(config).curation.kept(step), columns)
    return candidates.assign(options=candidates["options"].map(list)) if "options" in candidates else candidates


def read_dropped(config: Config) -> pd.DataFrame:
    """Return what all steps dropped, in their order."""
    paths = Paths.of(config).curation
    return pd.concat([read_table(paths.dropped(step)) for step in STEPS], ignore_index=True)


def write_outcome(config: Config, step: Step, outcome: Outcome) -> None:
    """Write ``steps/<step>.parquet`` and ``steps/<step>_dropped.parquet``."""
    paths = Paths.of(config).curation
    write_parquet(paths.kept(step), outcome.kept)
    write_parquet(paths.dropped(step), outcome.dropped)


def read_languages(config: Config) -> dict[str, Language]:
    """Return the languages of ``curation.places``."""
    return load_places(Path(config.curation.places), config.curation.countries)
