"""Where files go, and what each stage's result depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yapo.config import Config, DataConfig, DiscoveryConfig
from yapo.config.compose import compose, plain
from yapo.dag.reruns import code_of, result_inputs
from yapo.dag.scope import check_country, countries_of, discovery_countries
from yapo.dag.source import PACKAGE, facts_of, parse
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.paths import Paths

PATHS = [
    path
    for path in (PACKAGE / "stages").glob("*.py")
    if "\nREADS = (" in path.read_text(encoding="utf-8") and path.stem != "download"
]
NAMES = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PATHS]
STAGES = {name.split(".", 2)[2]: name for name in NAMES}


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return plain(compose([]))


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return known_countries(DataConfig())


@pytest.mark.parametrize(
    ("override", "reads_it"),
    [
        (
            "data.seed=3",
            {"report", "data", "layer", "prepare", "evaluate"},
        ),
        ("split.train=0.4", {"data"}),
        (
            "prompts.open_ended='Q: {question}'",
            {
                "train_sae",
                "layer",
                "prepare",
                "train",
                "evaluate",
            },
        ),
        (
            "model.dtype=bfloat16",
            {"train_sae", "layer", "prepare", "train", "evaluate"},
        ),
        (
            "sae.path=elsewhere/LAYER",
            {"prepare", "train", "evaluate"},
        ),
        (
            "sae.min_explained_variance=0.1",
            {"prepare", "train", "evaluate"},
        ),
        ("discovery.multipliers=[4.0]", {"layer"}),
        (
            "generation.max_new_tokens_mcq=9",
            {
                "layer",
                "prepare",
                "evaluate",
            },
        ),
        ("train.lr=0.1", {"train"}),
        ("method=caa", {"train"}),
        ("selection.multipliers=[1.0]", {"evaluate"}),
        (
            "judge=openai",
            {
                "report",
                "evaluate",
                "tables",
            },
        ),
        ("judge.concurrency=7", set()),
        ("knowledge.limit=5", set()),
        ("studies.knowledge.countries=[egypt]", set()),
        ("portable.tolerance=0.1", set()),
        ("store.max_gigabytes=1", set()),
        (
            "report.note=other",
            {
                "report",
                "tables",
                "figures",
            },
        ),
        (
            "methods=[caa]",
            {
                "report",
                "evaluate",
                "tables",
                "figures",
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
            },
        ),
        ("settings=[both]", {"train", "evaluate"}),
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
    assert {name for name, module in STAGES.items() if result_inputs(module, default) != result_inputs(module, after)} == reads_it


def test_what_decides_a_stage_is_one_text_for_each_setting_and_file(default: dict[str, Any]) -> None:
    found = result_inputs("yapo.stages.train", default)
    assert found["train.lr"] == json.dumps(default["train"]["lr"])
    assert found["method.name"] == '"yapo"'
    assert {"yapo/steering/methods/yapo.py", "yapo/steering/interventions.py"} <= set(found)
    assert "yapo/steering/methods/dspa/method.py" not in found
    assert result_inputs("yapo.stages.train", dict(reversed(default.items()))) == found


@pytest.mark.parametrize(
    ("stage", "reached", "not_reached"),
    [
        ("data", ["data/atlas.py", "data/split.py", "data/deep_culture_lense.py"], ["models/language_model.py"]),
        (
            "prepare",
            ["steering/pair_batch.py", "models/head.py", "evaluation/decoding/conditions.py"],
            ["evaluation/judges/base.py", "data/atlas.py"],
        ),
        (
            "train",
            ["steering/methods/caa.py", "steering/interventions.py"],
            ["evaluation/decoding/step.py", "reporting/tables.py"],
        ),
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
        ("figures", ["reporting/training_figures.py"], ["reporting/tables.py", "config/steering.py"]),
    ],
)
def test_a_change_to_code_reruns_the_stages_that_use_it(stage: str, reached: list[str], not_reached: list[str]) -> None:
    found = {str(path.relative_to(PACKAGE)) for path in code_of(f"yapo.stages.{stage}", ("caa",))}
    assert f"stages/{stage}.py" in found
    assert found.issuperset(reached)
    assert found.isdisjoint(not_reached)


def test_prose_and_layout_change_no_digest() -> None:
    texts = {
        "code": "def f(x):\n    return x + 1\n",
        "prose": '"""A module."""\n\n# A comment.\ndef f(x):\n    """Add one."""\n    return (x  +  1)\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    code, prose, other = (parse(text.encode()).digest for text in texts.values())
    assert code == prose != other


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py"))[::9], ids=lambda path: path.name)
def test_what_is_kept_of_a_file_is_what_stands_in_it(path: Path) -> None:
    assert facts_of(path) == parse(path.read_bytes())


def test_a_method_that_is_not_used_decides_nothing(default: dict[str, Any]) -> None:
    two = {**default, "methods": ["caa", "yapo"]}
    files = {name for name in result_inputs("yapo.stages.evaluate", two) if "/methods/" in name}
    assert {"yapo/steering/methods/caa.py", "yapo/steering/methods/yapo.py"} <= files
    assert not any("dspa" in name for name in files)


def test_a_method_that_derives_a_setting_decides(default: dict[str, Any]) -> None:
    assert "GenerationConfig" in result_inputs("yapo.stages.evaluate", default)


def test_a_change_to_a_template_reruns_what_prints_it() -> None:
    template = PACKAGE / "studies" / "lambda_sweep" / "finding.md.j2"
    assert template in code_of("yapo.studies.lambda_sweep.report")
    assert template not in code_of("yapo.studies.lambda_sweep.run")


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
        return discovery_countries(Config(discovery=DiscoveryConfig(**settings)), known)

    assert found() == list(known)
    assert found(layer=2) == found(layer=2, countries=[]) == []
    assert found(layer=2, countries=["nepal"]) == found(countries=["nepal"]) == ["nepal"]
    with pytest.raises(YapoError, match=r"^discovery.countries=nepall: unknown country; did you mean nepal\?"):
        found(countries=["nepall"])


def test_files_of_a_study() -> None:
    paths = Paths.of(Config(results="out", experiment="mine"))
    country = Path("out/mine/arabic/egypt")
    assert paths.items == Path("out/mine/data/items.parquet")
    assert paths.split == Path("out/mine/data/split.parquet")
    assert paths.layer == Path("out/mine/layer.json")
    assert paths.trained("arabic", "egypt", "caa") == country / "train" / "caa"
    assert paths.vector("arabic", "egypt", "caa", "mcq", "both") == country / "vectors" / "caa" / "mcq-both.safetensors"
    assert paths.validation("arabic", "egypt") == country / "validation.parquet"
    assert paths.evaluation("arabic", "egypt") == country / "evaluation.parquet"
    cells = [paths.store("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    cells += [paths.pairs("arabic", "egypt", task) for task in ("mcq", "open_ended")]
    assert len(set(cells)) == 4
    assert all(country in cell.parents for cell in cells)
