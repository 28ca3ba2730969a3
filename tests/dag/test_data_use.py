"""Checks at planning that data are used as their role and their forms allow."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.data.published_rows import blend_rows, write
from tests.data.test_schema import items_table
from tests.refusals import refused, refused_value
from yapo.config.compose import compose
from yapo.dag.data_use import check_data_use
from yapo.data.sources import known_countries, role_of
from yapo.files import write_parquet
from yapo.stages import evaluate, evaluate_test_set, layer, prepare, train, train_sae

TEST_SET = [
    "data=blend",
    "methods=[imported]",
    "tasks=[mcq]",
    "settings=[localized]",
    "discovery.layer=2",
    "discovery.countries=[]",
]


def check(*overrides: str) -> None:
    """Check a study as planning does; of a setting that is typed twice, the last holds."""
    given = {override.partition("=")[0]: override for override in overrides}
    config = compose(list(given.values()))
    check_data_use(config, known_countries(config.data))


@pytest.fixture
def blend(tmp_path: Path) -> list[str]:
    return [*TEST_SET, f"data.path={write(tmp_path / 'mc.json', blend_rows())}"]


def test_a_set_for_evaluation_only_is_evaluated(blend: list[str]) -> None:
    check(*blend)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["methods=[caa,yapo]"], "data.source=blend: is for evaluation only, and methods=caa,yapo learn on it"),
        (["methods=[caa,imported]"], "is for evaluation only, and methods=caa,imported learn on it"),
        (["settings=[both]"], "settings=both: all questions of data.source=blend are localized; set settings=[localized]"),
        (["settings=[localized,nonlocalized]"], "settings=nonlocalized: all questions"),
        (["discovery.layer=null", "discovery.countries=[uk]"], "discovery.layer=None: no layer is searched"),
        (["discovery.countries=[uk]"], "no layer is searched on data for evaluation only"),
        (["sae=train"], "is for evaluation only, and sae.trained=True trains autoencoders on it"),
    ],
)
def test_learning_from_it_is_refused(blend: list[str], changes: list[str], message: str) -> None:
    refused(lambda: check(*blend, *changes), message)


@pytest.mark.parametrize("stage", [prepare, train, train_sae, evaluate])
def test_stages_by_hand_refuse_it(blend: list[str], stage: ModuleType, tmp_path: Path) -> None:
    more = ["sae=train"] if stage is train_sae else []
    config = compose([*blend, *more, "country=uk", f"results={tmp_path / 'results'}"])
    refused(lambda: stage.main(config), "data.source=blend: is for evaluation only")
    assert not (tmp_path / "results").exists()


def test_the_layer_is_not_searched_on_it_by_hand(blend: list[str], tmp_path: Path) -> None:
    given = [word for word in blend if not word.startswith("discovery.")]
    config = compose([*given, "discovery.layer=2", "discovery.countries=[uk]", f"results={tmp_path / 'results'}"])
    refused(lambda: layer.main(config), "data.source=blend: is for evaluation only, and layers are compared on it")


def test_data_that_may_be_trained_on_are_evaluated_by_their_own_stage() -> None:
    refused(lambda: evaluate_test_set.main(compose(["methods=[imported]"])), "data.role=train", "set data.role=test")


def test_sets_without_items_are_refused() -> None:
    refused(
        lambda: check("data=preferences", "data.path=world/behaviours"), "data.source=preferences: preference files hold no items"
    )


def test_the_role_of_a_table(tmp_path: Path) -> None:
    """By the setting, or as the file states it, where the setting cannot take it back."""
    write_parquet(tmp_path / "plain.parquet", items_table())
    write_parquet(tmp_path / "test.parquet", items_table(), "test")
    items_table().to_json(tmp_path / "plain.jsonl", orient="records", lines=True)
    for name, setting, role in [
        ("plain.parquet", "train", "train"),
        ("plain.parquet", "test", "test"),
        ("plain.jsonl", "test", "test"),
        ("test.parquet", "train", "test"),
        ("test.parquet", "test", "test"),
    ]:
        overrides = ["data=table", f"data.path={tmp_path / name}", f"data.role={setting}", "discovery.layer=2"]
        assert role_of(compose(overrides).data) == role
        if role == "test":
            refused(
                lambda given=overrides: check(*given, "methods=[caa]"), f"data.path={tmp_path / name}: is for evaluation only"
            )
            check(*overrides, "methods=[imported]", "discovery.countries=[]")
    refused_value(
        lambda: compose(["data=table", "data.path=x.csv", "data.role=tests"]), "data.role=tests: choose one of train, test"
    )
