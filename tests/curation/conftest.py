"""Runs of curation's stages in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yapo.config import Config
from yapo.config.compose import compose
from yapo.config.conf_files import ROOT
from yapo.paths import CurationPaths, Paths
from yapo.stages.curation import answers, choices, duplicates, existence, package, report, variants

STAGES = (answers, existence, choices, duplicates, variants, report, package)
WORLD = ROOT / "world"
FILES = [
    f"curation.seeds={WORLD}/curation/seeds.csv",
    f"curation.recording={WORLD}/curation/session.jsonl",
    f"curation.places={WORLD}/curation/places.yaml",
    f"curation.topics={WORLD}/atlas/topics.yaml",
]
Curate = Callable[..., CurationPaths]


def settings(folder: Path, *overrides: str) -> Config:
    named = {override.partition("=")[0] for override in overrides}
    files = [file for file in FILES if file.partition("=")[0] not in named]
    return compose([f"results={folder}", f"judge.cache={folder}/judgements", *files, *overrides])


def curate_in(folder: Path, *overrides: str) -> CurationPaths:
    """Run every stage; return where its files are."""
    config = settings(folder, *overrides)
    for stage in STAGES:
        stage.main(config)
    return Paths.of(config).curation


@pytest.fixture
def curate(tmp_path: Path) -> Curate:
    return lambda *overrides: curate_in(tmp_path / "results", *overrides)


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> CurationPaths:
    """The recorded session after every step."""
    return curate_in(tmp_path_factory.mktemp("session"))
