"""Steps that the tests of studies share: made-up test answers, a job run again, and a report with all of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from yapo.config import Config
from yapo.files import write_parquet
from yapo.paths import Paths
from yapo.reporting.finding import Finding
from yapo.stages.inputs import read_items
from yapo.studies.base import get_study


def write_answers(config: Config, scores: Mapping[str, float]) -> None:
    """Write the test answers of Egypt to open-ended, non-localized questions, with one score for each method."""
    items = read_items(config, "egypt").query("split == 'test' and variant == 'nonlocalized'")
    same = items.assign(task="open_ended", setting="nonlocalized", parsed=True, multiplier=0.5)
    frames = [same.assign(method=method, score=score) for method, score in scores.items()]
    write_parquet(Paths.of(config).evaluation("arabic", "egypt"), pd.concat(frames, ignore_index=True))


def same_again(main: Callable[[Config], None], config: Config, *paths: Path) -> None:
    """Run a job again and check that its files keep their bytes."""
    before = [path.read_bytes() for path in paths]
    main(config)
    assert [path.read_bytes() for path in paths] == before


def reported(main: Callable[[Config], None], config: Config, name: str) -> Finding:
    """Make the report of a study, check that every file that the study announces is there, and return the finding."""
    main(config)
    paths = Paths.of(config)
    sizes = {file: (paths.root / file).stat().st_size for file in get_study(name).file_names(config)}
    assert [file for file, size in sizes.items() if size <= (5000 if file.startswith("figures/") else 0)] == []
    return Finding.load(paths.finding(name))
