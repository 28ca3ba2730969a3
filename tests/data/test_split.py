"""The split by facts, and the report that must not let a leak pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yapo.config import Config, DataConfig, SplitConfig
from yapo.data.schema import KEY, check_items
from yapo.data.sources import load_items
from yapo.data.split import join_facts, leakage_report, split_facts
from yapo.errors import YapoError
from yapo.files import read_json
from yapo.stages import data

from .test_schema import items_table

SPLITS = ("train", "validation", "test")


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Facts of up to 12 topics, each asked in 1 to 3 rows, in any order."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=12))
    rows = [
        {"question_id": f"t{topic}-{fact}", "topic": f"t{topic}", "language": "x", "question": f"{topic} {fact} {wording}"}
        for topic, size in enumerate(sizes)
        for fact in range(size)
        for wording in range(draw(st.integers(1, 3)))
    ]
    return pd.DataFrame(draw(st.permutations(rows)))


@st.composite
def configs(draw: st.DrawFn) -> SplitConfig:
    train = draw(st.integers(10, 80))
    validation = draw(st.integers(5, 95 - train))
    return SplitConfig(seed=draw(st.integers(0, 2**31)), train=train / 100, validation=validation / 100)


@settings(max_examples=30, deadline=None)
@given(items=tables(), config=configs())
def test_every_fact_stands_in_one_split_and_shares_hold(items: pd.DataFrame, config: SplitConfig) -> None:
    facts = items["question_id"].nunique()
    assume(facts * min(config.train, config.validation, 1 - config.train - config.validation) > 1)
    split = split_facts(items, config)
    assert sorted(split["question_id"]) == sorted(items["question_id"].unique())
    counts = split["split"].value_counts()
    assert set(counts.index) == set(SPLITS)
    assert abs(counts["train"] - config.train * facts) <= 0.5 + 1e-6
    assert abs(counts["train"] + counts["validation"] - (config.train + config.validation) * facts) <= 0.5 + 1e-6
    pd.testing.assert_frame_equal(split, split_facts(items, config))
    report = leakage_report(items, split)
    assert report["shared_facts"] == report["shared_questions"] == 0
    assert report["facts"] == counts.to_dict()
    assert sum(report["items"].values()) == len(items)


@settings(max_examples=25, deadline=None)
@given(items=tables(), seed=st.integers(0, 1000), order=st.randoms())
def test_every_topic_is_trained_on_when_it_has_two_facts(items: pd.DataFrame, seed: int, order) -> None:
    assume(items.groupby("topic")["question_id"].nunique().min() >= 2)
    assume(items["question_id"].nunique() >= 5)
    split = split_facts(items, SplitConfig(seed=seed, train=0.5, validation=0.2))
    trained = set(split.loc[split["split"] == "train", "question_id"])
    assert set(items.loc[items["question_id"].isin(trained), "topic"]) == set(items["topic"])
    shuffled = items.sample(frac=1, random_state=order.randrange(1000))
    pd.testing.assert_frame_equal(split, split_facts(shuffled, SplitConfig(seed=seed, train=0.5, validation=0.2)))


def test_the_seed_changes_the_split() -> None:
    items = items_table(facts=30)
    assert not split_facts(items, SplitConfig(seed=0)).equals(split_facts(items, SplitConfig(seed=1)))


def test_the_atlas_splits_without_a_leak() -> None:
    items = load_items(DataConfig())
    split = split_facts(items, SplitConfig())
    report = leakage_report(items, split)
    assert report["topics"]["train"] == 52
    assert report["facts"] == {"train": 52, "validation": 21, "test": 31}


@pytest.mark.parametrize("facts", [1, 2])
def test_too_few_facts_are_refused(facts: int) -> None:
    with pytest.raises(YapoError, match=f"split: {facts} facts leave none for"):
        split_facts(items_table(facts), SplitConfig())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0.0}, "split.train=0.0: a share between 0 and 1"),
        ({"train": 1.2}, "split.train=1.2"),
        ({"validation": 0.0}, "split.validation=0.0"),
        ({"train": 0.7, "validation": 0.3}, "nothing is left for test"),
    ],
)
def test_impossible_shares(values: dict[str, float], message: str) -> None:
    with pytest.raises(YapoError, match=message):
        SplitConfig(**values)


def test_a_fact_on_two_sides_is_a_leak() -> None:
    items = items_table()
    split = split_facts(items, SplitConfig())
    trained = split[split["split"] == "train"].head(1)
    with pytest.raises(YapoError, match=r"train, validation and test overlap.*'question_id': 1"):
        leakage_report(items, pd.concat([split, trained.assign(split="test")]))


def test_one_question_under_two_facts_is_a_leak() -> None:
    items = items_table()
    split = split_facts(items, SplitConfig())
    ids = {name: split.loc[split["split"] == name, "question_id"].iloc[0] for name in SPLITS}
    asked = items.loc[(items["question_id"] == ids["train"]) & (items["phrasing"] == 0), "question"].to_numpy()
    items.loc[(items["question_id"] == ids["test"]) & (items["phrasing"] == 0), "question"] = asked
    with pytest.raises(YapoError, match=r"overlap.*'question': 2"):
        leakage_report(items, split)


def test_an_item_without_a_split_is_refused() -> None:
    split = split_facts(items_table(), SplitConfig())
    with pytest.raises(YapoError, match="4 items have no split"):
        leakage_report(items_table(5), split)


def doubled(change: dict[str, str]) -> pd.DataFrame:
    """Twenty facts, each asked once more under another id with the changed text."""
    items = items_table(facts=20)
    again = items.assign(question_id="again-" + items["question_id"])
    for old, new in change.items():
        again["question"] = again["question"].str.replace(old, new, regex=False)
    return check_items(pd.concat([items, again], ignore_index=True), "mine.csv")


@pytest.mark.parametrize(
    "change",
    [{"؟": "؟ "}, {"؟": ""}, {" ": "\u00a0"}, {"ال": "ا\u200bل"}, {"؟": "\u200f؟"}, {"سؤال": "سُؤـال"}, {"1": "١", "0": "٠"}],
)
def test_a_question_under_two_ids_is_one_fact_on_one_side(change: dict[str, str]) -> None:
    items = doubled(change)
    split = split_facts(items, SplitConfig())
    side = split.set_index("question_id")["split"]
    assert len(side) == 40
    assert all(side[name] == side[f"again-{name}"] for name in side.index if not name.startswith("again"))
    report = leakage_report(items, split)
    assert report["facts"] == {"test": 6, "train": 10, "validation": 4}
    assert sum(report["items"].values()) == len(items)
    assert report["joined"] == {f"again-f{n}": [f"again-f{n}", f"f{n}"] for n in range(20)}
    joined = join_facts(items)
    assert not joined.duplicated(KEY).any()
    assert joined["question_id"].nunique() == 20
    pd.testing.assert_frame_equal(
        joined.drop(columns=["question_id", "phrasing"]), items.drop(columns=["question_id", "phrasing"])
    )
    forms = joined.groupby(["question_id", "phrasing"])["variant"].agg(set)
    assert (forms.map(len) == 2).all()


def test_the_stage_writes_one_id_and_names_both(tmp_path: Path) -> None:
    items = doubled({"؟": " ؟"})
    items.to_parquet(tmp_path / "mine.parquet")
    source = DataConfig(source="table", path=str(tmp_path / "mine.parquet"))
    config = replace(Config(), results=str(tmp_path / "results"), data=source)
    data.main(config)
    folder = tmp_path / "results" / "embedded" / "data"
    assert pd.read_parquet(folder / "items.parquet")["question_id"].nunique() == 20
    assert pd.read_parquet(folder / "split.parquet")["question_id"].nunique() == 40
    assert read_json(folder / "leakage.json")["joined"]["again-f0"] == ["again-f0", "f0"]


def test_clean_items_are_joined_to_nothing() -> None:
    items = items_table()
    assert join_facts(items) is items
