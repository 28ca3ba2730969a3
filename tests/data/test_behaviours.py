"""Behaviours as folders of preference files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from yapo.config import DataConfig, SplitConfig
from yapo.data.behaviours import behaviours_in, load_behaviour
from yapo.data.sources import known_countries
from yapo.data.text import text_key
from yapo.errors import YapoError

SHIPPED = Path(__file__).resolve().parents[2] / "world" / "behaviours"
PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "bipo"


def write(folder: Path, name: str, questions: list[str], ending: str = "csv") -> None:
    frame = pd.DataFrame({"question": questions, "matching": "yes, it is", "not_matching": "no, it is not"})
    folder.mkdir(parents=True, exist_ok=True)
    if ending == "csv":
        frame.to_csv(folder / f"{name}.csv", index=False)
    else:
        frame.to_json(folder / f"{name}.jsonl", orient="records", lines=True)


def test_the_test_file_is_the_test_split_and_nothing_of_it_is_trained_on(tmp_path: Path) -> None:
    write(tmp_path / "lies", "train", [f"is it {i}" for i in range(40)])
    write(tmp_path / "lies", "test", ["Is it 3?", "is it 99"], "jsonl")
    pairs, report = load_behaviour(str(tmp_path), "lies", SplitConfig())
    assert pairs["split"].value_counts().to_dict() == {"train": 32, "validation": 7, "test": 2}
    assert report["train_questions_also_in_test"] == 1
    assert report["split"]["items"] == {"test": 2, "train": 32, "validation": 7}
    learned = set(map(text_key, pairs.loc[pairs["split"] != "test", "prompt"]))
    assert learned.isdisjoint(map(text_key, ["is it 3", "is it 99"]))


def test_one_file_is_dealt_to_all_three_splits_by_question(tmp_path: Path) -> None:
    write(tmp_path / "lies", "train", [f"is it {i}" for i in range(30)])
    twice = pd.read_csv(tmp_path / "lies" / "train.csv")
    pd.concat([twice, twice.assign(not_matching="not at all")]).to_csv(tmp_path / "lies" / "train.csv", index=False)
    pairs, _ = load_behaviour(str(tmp_path), "lies", SplitConfig(train=0.5, validation=0.2))
    assert pairs["split"].value_counts().to_dict() == {"train": 30, "validation": 12, "test": 18}
    assert (pairs.groupby("question_id")["split"].nunique() == 1).all()
    assert set(pairs["phrasing"]) == {0, 1}
    assert not pairs.duplicated(["question_id", "phrasing"]).any()


def test_what_cannot_be_a_folder_of_behaviours(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"^data.path=nowhere: no such folder"):
        behaviours_in("nowhere")
    with pytest.raises(YapoError, match=r"^studies.behaviours.folder=nowhere: no such folder"):
        known_countries(DataConfig(source="preferences", path="nowhere"), "studies.behaviours.folder")
    with pytest.raises(YapoError, match=r"no folder in it has a train file; give each behaviour one \(train.csv"):
        behaviours_in(str(tmp_path))
    write(tmp_path / "lies", "train", ["is it"])
    with pytest.raises(YapoError, match=r"country=lie.*lies"):
        load_behaviour(str(tmp_path), "lie", SplitConfig())
    write(tmp_path / "all-lies", "train", ["is it"])
    assert behaviours_in(str(tmp_path)) == ["all-lies", "lies"]
    write(tmp_path / "all_lies", "train", ["is it"])
    with pytest.raises(YapoError, match="folders 'all-lies' and 'all_lies' are one name; rename or remove one"):
        behaviours_in(str(tmp_path))
    write(tmp_path / "lies", "train", ["is it"], "jsonl")
    with pytest.raises(YapoError, match=r"both train.csv and train.jsonl are there; remove one"):
        behaviours_in(str(tmp_path))


@pytest.mark.parametrize("name", ["hallucination", "jailbreak", "power_seeking", "wealth_seeking"])
def test_the_behaviours_that_ship(name: str) -> None:
    assert name in behaviours_in(str(SHIPPED))
    pairs, report = load_behaviour(str(SHIPPED), name, SplitConfig())
    assert report["train_questions_also_in_test"] == 0
    assert report["split"]["items"] == {name: int(n) for name, n in pairs["split"].value_counts().sort_index().items()}
    assert not {**report["train"]["dropped"], **report["test"]["dropped"]}
    assert set(pairs["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize(("name", "test"), [("power-seeking", 200), ("wealth-seeking", 200)])
def test_the_published_files(name: str, test: int) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("the published files are not beside this project")
    pairs, report = load_behaviour(str(PUBLISHED), name, SplitConfig())
    assert (pairs["split"] == "test").sum() == test
    assert report["train"]["rows"] - sum(report["train"]["dropped"].values()) == report["train"]["pairs"]
