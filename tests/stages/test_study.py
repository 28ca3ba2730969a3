"""Where files go, and what each stage's result depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yapo.config import Config, DataConfig, DiscoveryConfig
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.stages.app import compose, plain
from yapo.stages.code import PACKAGE, code_of
from yapo.stages.reads import READS
from yapo.stages.study import Study, check_country, countries_of, measured, spec

STAGES = list(READS)


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return plain(compose([]))


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return known_countries(DataConfig())


@pytest.mark.parametrize(
    ("override", "reads_it"),
    [
        ("data.seed=3", {"behaviour_evaluate", "report", "data", "layer", "knowledge", "lambda_sweep", "transfer", "dspa_study"}),
        ("split.train=0.4", {"behaviour_prepare", "data"}),
        (
            "prompts.open_ended='Q: {question}'",
            {
                "train_sae",
                "layer",
                "prepare",
                "evaluate",
                "portable",
                "knowledge_baseline",
                "knowledge",
                "lambda_sweep",
                "transfer",
                "ablations",
                "convergence",
                "ablations_sae",
                "dspa_study",
            },
        ),
        (
            "model.dtype=bfloat16",
            {
                "behaviour_evaluate",
                "behaviour_prepare",
                "report",
                "train_sae",
                "layer",
                "prepare",
                "train",
                "evaluate",
                "portable",
                "knowledge_baseline",
                "knowledge",
                "features",
                "lambda_sweep",
                "transfer_left_out",
                "transfer",
                "ablations",
                "convergence",
                "ablations_sae",
                "dspa_study",
                "dspa_chat",
            },
        ),
        (
            "sae.path=elsewhere/LAYER",
            {
                "behaviour_evaluate",
                "behaviour_prepare",
                "report",
                "layer",
                "prepare",
                "train",
                "evaluate",
                "portable",
                "knowledge",
                "features",
                "features_table",
                "lambda_sweep",
                "transfer_left_out",
                "transfer",
                "ablations",
                "convergence",
                "dspa_study",
                "dspa_chat",
            },
        ),
        (
            "sae.min_explained_variance=0.1",
            {
                "behaviour_evaluate",
                "behaviour_prepare",
                "report",
                "layer",
                "prepare",
                "train",
                "evaluate",
                "portable",
                "knowledge",
                "features",
                "features_table",
                "lambda_sweep",
                "transfer_left_out",
                "transfer",
                "ablations",
                "convergence",
                "dspa_study",
                "dspa_chat",
            },
        ),
        ("discovery.multipliers=[4.0]", {"layer"}),
        (
            "generation.max_new_tokens_mcq=9",
            {
                "behaviour_evaluate",
                "layer",
                "prepare",
                "evaluate",
                "portable",
                "lambda_sweep",
                "transfer",
                "ablations",
                "convergence",
                "dspa_study",
            },
        ),
        ("train.lr=0.1", {"train", "transfer_left_out", "ablations", "convergence"}),
        ("method=caa", {"train", "transfer_left_out", "ablations", "convergence", "dspa_study", "dspa_study_table"}),
        ("selection.multipliers=[1.0]", {"evaluate", "transfer"}),
        (
            "judge=openai",
            {
                "behaviour_evaluate",
                "behaviours_table",
                "report",
                "evaluate",
                "portable",
                "portable_table",
                "tables",
                "lambda_sweep",
                "lambda_sweep_table",
                "transfer",
                "transfer_table",
                "ablations",
                "convergence",
                "ablations_table",
                "convergence_table",
                "dspa_study",
                "dspa_chat",
                "dspa_study_table",
            },
        ),
        ("judge.concurrency=7", set()),
        ("knowledge.limit=5", {"knowledge_baseline", "knowledge", "knowledge_table"}),
        ("studies.knowledge.countries=[egypt]", {"knowledge_table"}),
        ("portable.tolerance=0.1", {"portable"}),
        ("store.max_gigabytes=1", set()),
        (
            "report.note=other",
            {
                "behaviours_table",
                "report",
                "portable_table",
                "knowledge_table",
                "tables",
                "figures",
                "features",
                "features_table",
                "lambda_sweep_table",
                "transfer_table",
                "ablations_table",
                "convergence_table",
                "dspa_study_table",
            },
        ),
        (
            "methods=[caa]",
            {
                "behaviour_evaluate",
                "behaviours_table",
                "report",
                "evaluate",
                "portable",
                "portable_table",
                "knowledge",
                "tables",
                "figures",
                "features",
                "features_table",
                "lambda_sweep",
                "lambda_sweep_table",
                "transfer",
                "transfer_table",
                "ablations_table",
                "convergence_table",
                "dspa_chat",
            },
        ),
        (
            "tasks=[mcq]",
            {
                "train_sae",
                "layer",
                "prepare",
                "train",
                "evaluate",
                "portable",
                "features",
                "lambda_sweep",
                "transfer_left_out",
                "transfer",
                "ablations_sae",
                "dspa_study",
            },
        ),
        ("settings=[both]", {"train", "evaluate", "portable", "features"}),
        ("results=elsewhere", set()),
        ("threads=2", set()),
        ("country=nepal", set()),
        ("countries=[nepal]", set()),
    ],
)
def test_a_setting_changes_the_stages_that_read_it_and_no_others(
    override: str, reads_it: set[str], default: dict[str, Any]
) -> None:
    after = plain(compose([override]))
    assert after != default
    assert {stage for stage in STAGES if spec(stage, default) != spec(stage, after)} == reads_it


def test_a_spec_is_canonical_json_with_a_digest_of_the_code(default: dict[str, Any]) -> None:
    for stage in STAGES:
        text = spec(stage, default)
        parsed = json.loads(text)
        assert set(parsed) == {*READS[stage], "code"}
        assert spec(stage, dict(reversed(default.items()))) == text
    assert set(READS) == set(STAGES)


def test_every_stage_of_the_study_is_a_module() -> None:
    assert all((PACKAGE / "stages" / f"{stage}.py").is_file() for stage in READS)


@pytest.mark.parametrize(
    ("stage", "reached", "not_reached"),
    [
        ("data", ["data/atlas.py", "data/split.py", "data/deep_culture_lense.py"], ["models/language_model.py"]),
        (
            "prepare",
            ["steering/pair_batch.py", "models/head.py", "evaluation/generate.py"],
            ["evaluation/judges/base.py", "data/atlas.py"],
        ),
        ("train", ["steering/methods/caa.py", "steering/interventions.py"], ["evaluation/generate.py", "reporting/tables.py"]),
        (
            "evaluate",
            ["evaluation/judges/offline.py", "steering/sparse_codes.py"],
            ["steering/training/trainer.py", "evaluation/knowledge.py"],
        ),
        (
            "tables",
            ["reporting/cells.py", "evaluation/metrics.py"],
            ["evaluation/judges/offline.py", "steering/training/trainer.py"],
        ),
        ("figures", ["reporting/training_figures.py"], ["reporting/tables.py", "config/steering.py", "stages/study.py"]),
    ],
)
def test_a_change_to_code_reruns_the_stages_that_use_it(stage: str, reached: list[str], not_reached: list[str]) -> None:
    found = {str(path.relative_to(PACKAGE)) for path in code_of(stage)}
    assert f"stages/{stage}.py" in found
    assert found.issuperset(reached)
    assert found.isdisjoint(not_reached)


def test_countries_of_a_study_in_the_order_of_the_data(known: dict[str, str]) -> None:
    assert countries_of(Config(), known) == known
    chosen = countries_of(Config(countries=["nepal", "egypt"]), known)
    assert list(chosen.items()) == [("egypt", "arabic"), ("nepal", "hindi")]


@pytest.mark.parametrize("country", ["nepall", "Nepal", "atlantis", ""])
def test_unknown_countries(country: str, known: dict[str, str]) -> None:
    with pytest.raises(YapoError, match=f"^country={country}: unknown country; .*choose among egypt, ksa"):
        countries_of(Config(countries=["egypt", country]), known)
    with pytest.raises(YapoError, match="unknown country"):
        check_country(country, list(known))


def test_countries_that_discovery_measures(known: dict[str, str]) -> None:
    def found(**settings: Any) -> list[str]:
        return measured(Config(discovery=DiscoveryConfig(**settings)), known)

    assert found() == list(known)
    assert found(layer=2) == found(layer=2, countries=[]) == []
    assert found(layer=2, countries=["nepal"]) == found(countries=["nepal"]) == ["nepal"]
    with pytest.raises(YapoError, match=r"^discovery.countries=nepall: unknown country; did you mean nepal\?"):
        found(countries=["nepall"])


def test_files_of_a_study() -> None:
    study = Study.of(Config(results="out", experiment="mine"))
    country = Path("out/mine/arabic/egypt")
    assert study.items == Path("out/mine/data/items.parquet")
    assert study.split == Path("out/mine/data/split.parquet")
    assert study.layer == Path("out/mine/layer.json")
    assert study.trained("arabic", "egypt", "caa") == country / "train" / "caa"
    assert study.vector("arabic", "egypt", "caa", "mcq", "both") == country / "vectors" / "caa" / "mcq-both.safetensors"
    assert study.validation("arabic", "egypt") == country / "validation.parquet"
    assert study.evaluation("arabic", "egypt") == country / "evaluation.parquet"
    cells = [study.store("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    cells += [study.pairs("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    assert len(set(cells)) == 4
    assert all(country in cell.parents for cell in cells)
