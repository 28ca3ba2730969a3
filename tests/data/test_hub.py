"""Copies of a hub data set, the hub out of reach, and the stage that reads them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from yapo.config import Config, DataConfig
from yapo.config.compose import compose
from yapo.data.deep_culture_lense import LANGUAGE
from yapo.data.schema import read_table
from yapo.data.sources import known_countries, load_items
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.paths import Paths
from yapo.stages import data

from .lense_rows import config, dirty, hub_rows, load, plain, save

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["parquet", "single"])
def test_every_kind_of_copy_gives_the_same_items(kind: str, clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    items, report = load(hub_rows(), tmp_path, kind)
    pd.testing.assert_frame_equal(plain(items), plain(clean[0]))
    assert report["splits"] == (
        {"row": 144} if kind == "single" else {"data/test-00000-of-00001.parquet": 36, "data/train-00000-of-00001.parquet": 108}
    )


@pytest.mark.parametrize("kind", ["saved", "parquet", "single"])
def test_countries_of_a_copy_and_of_the_hub(kind: str, tmp_path: Path) -> None:
    path = save(hub_rows(["Hindi", "English"], facts=2), tmp_path / "copy", kind)
    assert list(known_countries(config(path)).items()) == [
        ("usa", "english"),
        ("uk", "english"),
        ("australia", "english"),
        ("india", "hindi"),
        ("nepal", "hindi"),
    ]
    everywhere = known_countries(compose(["data=deep_culture_lense"]).data)
    assert everywhere == {place: language.lower() for place, language in LANGUAGE.items()}
    assert len(everywhere) == 15


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("nothing/here/at/all", None, "no such folder; give a folder with a copy of the data, or a hub id"),
        ("empty", {}, "no data set in this folder can be read .*neither parquet files"),
        ("broken", {"a.parquet": b"PAR1 but no more"}, "no data set in this folder can be read .*broken/a.parquet: "),
        (
            "pointer",
            {"a.parquet": b"version https://git-lfs.github.com/spec/v1\n"},
            "no data set in this folder can be read .*pointer/a.parquet: ",
        ),
        ("state", {"state.json": b"[]", "dataset_info.json": b"{}"}, "no data set in this folder can be read"),
        ("info", {"state.json": b"{}", "dataset_info.json": b"[]"}, "no data set in this folder can be read"),
        ("splits", {"dataset_dict.json": b"{}"}, "no data set in this folder can be read"),
        ("no splits", {"dataset_dict.json": b'{"splits": []}'}, ".*its list of splits is empty"),
        ("half", {"dataset_dict.json": b'{"splits": ["train"]}'}, "no data set in this folder can be read"),
        ("file.parquet", b"", "no such folder"),
    ],
)
def test_places_that_hold_no_copy(path: str, content: Any, message: str, tmp_path: Path) -> None:
    place = tmp_path / path
    if isinstance(content, bytes):
        place.write_bytes(content)
    elif content is not None:
        place.mkdir()
        for name, inner in content.items():
            (place / name).write_bytes(inner)
    with pytest.raises(YapoError, match=f"^data.path={place}: {message}") as caught:
        load_items(config(place))
    assert "\n" not in str(caught.value)


def test_an_empty_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    pd.DataFrame(hub_rows(facts=1)).head(0).to_parquet(tmp_path / "copy" / "a.parquet")
    with pytest.raises(YapoError, match=r"no data set in this folder can be read \(neither parquet files with rows"):
        load_items(config(tmp_path / "copy"))
    path = save(hub_rows(facts=1), tmp_path / "other", "single")
    datasets.load_from_disk(str(path)).select([]).save_to_disk(tmp_path / "none")
    with pytest.raises(YapoError, match=r"no data set in this folder can be read"):
        load_items(config(tmp_path / "none"))


def test_a_hub_id_without_the_hub_is_one_line(tmp_path: Path) -> None:
    """In a process of its own, told to stay offline."""
    command = [
        sys.executable,
        "-m",
        "yapo.stages.data",
        "data=deep_culture_lense",
        "data.path=no-such/data",
        f"results={tmp_path}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.strip().split("\n")[-1]
    assert re.match(r"error: data.path=no-such/data: it is not in the cache .*run `hf download no-such/data", last)


def paths(path: Path, results: Path, *more: str) -> Config:
    return compose(["data=deep_culture_lense", f"data.path={path}", f"results={results}", *more])


def test_an_empty_split_does_no_harm(clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    path = save(hub_rows(), tmp_path / "copy", "parquet")
    pd.DataFrame(hub_rows(facts=1)).head(0).to_parquet(path / "data" / "validation-00000-of-00001.parquet")
    pd.testing.assert_frame_equal(plain(load_items(config(path))), plain(clean[0]))


def test_the_stage_writes_items_split_and_report(clean: tuple[pd.DataFrame, dict[str, Any]], tmp_path: Path) -> None:
    path = save(hub_rows(), tmp_path / "copy", "parquet")
    of = paths(path, tmp_path / "results")
    data.main(of)
    files = Paths.of(of)
    pd.testing.assert_frame_equal(plain(read_table(files.items)), plain(clean[0]))
    assert read_json(files.data_report)["items"] == 144
    assert read_json(files.leakage)["shared_facts"] == 0
    before = {file: file.read_bytes() for file in files.items.parent.iterdir()}
    data.main(of)
    assert {file: file.read_bytes() for file in files.items.parent.iterdir()} == before
    data.main(compose([f"results={tmp_path / 'results'}"]))
    assert sorted(file.name for file in files.items.parent.iterdir()) == ["items.parquet", "leakage.json", "split.parquet"]


def test_the_stage_leaves_the_report_of_what_it_refused(tmp_path: Path) -> None:
    path = save(dirty()[0], tmp_path / "copy")
    of = paths(path, tmp_path / "results")
    report = Paths.of(of).data_report
    with pytest.raises(YapoError, match=rf"^data.path={path}: egypt loses .* \(report: {report}\)$"):
        data.main(of)
    assert [file.name for file in report.parent.iterdir()] == ["report.json"]
    assert read_json(report)["countries"]["egypt"]["dropped"] == {"duplicate": 1, "empty": 1, "unpaired": 1}
    data.main(paths(path, tmp_path / "results", "data.max_dropped=0.1"))
    assert read_json(report)["items"] == 132


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": ""}, "data.path=: needs a folder with a copy, or a hub id"),
        ({"path": "x", "max_dropped": 1.0}, "data.max_dropped=1.0: a share from 0, below 1"),
        ({"path": "x", "max_dropped": -0.1}, "data.max_dropped=-0.1: a share from 0, below 1"),
    ],
)
def test_impossible_settings(values: dict[str, Any], message: str) -> None:
    with pytest.raises(YapoError, match=re.escape(message)):
        DataConfig(source="deep_culture_lense", **values)
