"""Settings and code that each stage's result depends on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yapo.config.compose import compose, plain
from yapo.dag.reruns import code_of, result_inputs
from yapo.dag.source import PACKAGE

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


@pytest.mark.parametrize(
    ("override", "reads_it"),
    [
        (
            "data.seed=3",
            {"report", "data", "layer", "prepare", "evaluate", "evaluate_adapters", "evaluate_test_set"},
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
                "evaluate_adapters",
                "evaluate_test_set",
            },
        ),
        (
            "model.dtype=bfloat16",
            {"train_sae", "layer", "prepare", "train", "train_adapter", "evaluate", "evaluate_adapters", "evaluate_test_set"},
        ),
        (
            "sae.path=elsewhere/LAYER",
            {"prepare", "train", "evaluate", "evaluate_adapters", "evaluate_test_set"},
        ),
        (
            "sae.min_explained_variance=0.1",
            {"prepare", "train", "evaluate", "evaluate_adapters", "evaluate_test_set"},
        ),
        ("discovery.multipliers=[4.0]", {"layer"}),
        (
            "generation.max_new_tokens_mcq=9",
            {
                "layer",
                "prepare",
                "evaluate",
                "evaluate_adapters",
                "evaluate_test_set",
            },
        ),
        (
            "generation.mcq=[boxed,likelihood]",
            {"layer", "prepare", "evaluate", "evaluate_adapters", "evaluate_test_set", "tables"},
        ),
        (
            "generation.likelihood.metric=acc_norm",
            {"layer", "prepare", "evaluate", "evaluate_adapters", "evaluate_test_set", "tables"},
        ),
        ("train.lr=0.1", {"train"}),
        ("train.epochs=3", {"train", "train_adapter", "evaluate_adapters"}),
        ("adapters.lr=0.1", {"train_adapter"}),
        ("adapters.rows=[lora_sft]", {"evaluate_adapters"}),
        ("method=caa", {"train", "evaluate_test_set"}),
        ("selection.multipliers=[1.0]", {"evaluate", "evaluate_adapters"}),
        ("selection.max_kl=1.0", {"evaluate", "evaluate_adapters"}),
        (
            "judge=openai",
            {
                "report",
                "evaluate",
                "evaluate_adapters",
                "evaluate_test_set",
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
                "evaluate_adapters",
                "evaluate_test_set",
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
                "train_adapter",
                "evaluate",
                "evaluate_adapters",
                "evaluate_test_set",
            },
        ),
        ("settings=[both]", {"train", "train_adapter", "evaluate", "evaluate_adapters", "evaluate_test_set"}),
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
            ["evaluation/decoding/step.py", "reporting/tables.py", "reporting/names.py"],
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


def test_a_method_that_is_not_used_decides_nothing(default: dict[str, Any]) -> None:
    two = {**default, "methods": ["caa", "yapo"]}
    files = {name for name in result_inputs("yapo.stages.evaluate", two) if "/methods/" in name}
    assert {"yapo/steering/methods/caa.py", "yapo/steering/methods/yapo.py"} <= files
    assert not any("dspa" in name for name in files)


def test_a_method_that_derives_a_setting_decides(default: dict[str, Any]) -> None:
    assert "GenerationConfig" in result_inputs("yapo.stages.evaluate", default)


def test_a_change_to_a_list_reruns_what_reads_it() -> None:
    assert PACKAGE / "data" / "country_names.yaml" in code_of("yapo.studies.opinions.run")


def test_a_change_to_a_template_reruns_what_prints_it() -> None:
    template = PACKAGE / "studies" / "lambda_sweep" / "finding.md.j2"
    assert template in code_of("yapo.studies.lambda_sweep.report")
    assert template not in code_of("yapo.studies.lambda_sweep.run")
