"""Where files go, and what each stage's result depends on."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from yapo.config import Config, DataConfig
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.stages.app import compose, plain
from yapo.stages.study import PACKAGE, READS, Study, check_country, countries_of, spec

STAGES = ["data", "layer", "prepare", "train", "evaluate", "portable", "portable_table", "report"]
# Reading, writing, naming and checking: what every stage shares and no result depends on.
PLUMBING = {"__init__.py", "config.py", "errors.py", "files.py"} | {f"stages/{name}.py" for name in ("app", "inputs", "study")}
# Countries' names and the checked reading of a table; what is in them reaches other stages as files.
DATA = {f"data/{name}.py" for name in ("atlas", "schema", "sources")}
PACKAGES = {f"{name}/__init__.py" for name in ("data", "discovery", "evaluation", "models", "reporting", "steering")}


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return plain(compose([]))


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return known_countries(DataConfig())


@pytest.mark.parametrize(
    ("override", "reads_it"),
    [
        ("data.seed=3", {"data", "layer"}),
        ("split.train=0.4", {"data"}),
        ("prompts.open_ended='Q: {question}'", {"layer", "prepare", "evaluate", "portable"}),
        ("model.dtype=bfloat16", {"layer", "prepare", "train", "evaluate", "portable"}),
        ("sae.path=elsewhere/LAYER", {"layer", "prepare", "train", "evaluate", "portable"}),
        ("discovery.multipliers=[4.0]", {"layer"}),
        ("generation.max_new_tokens_mcq=9", {"layer", "prepare", "evaluate", "portable"}),
        ("train.lr=0.1", {"train"}),
        ("method=caa", {"train"}),
        ("selection.multipliers=[1.0]", {"evaluate"}),
        ("judge=openai", {"evaluate", "portable", "portable_table", "report"}),
        ("judge.concurrency=7", set()),
        ("portable.tolerance=0.1", {"portable"}),
        ("store.max_gigabytes=1", set()),
        ("report.note=other", {"portable_table", "report"}),
        ("methods=[caa]", {"evaluate", "portable", "portable_table", "report"}),
        ("tasks=[mcq]", {"layer", "prepare", "train", "evaluate", "portable"}),
        ("settings=[both]", {"train", "evaluate", "portable"}),
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
        assert set(parsed) == {*READS[stage][0], "code"}
        assert spec(stage, dict(reversed(default.items()))) == text
    assert set(READS) == set(STAGES)


def test_code_that_is_named_exists() -> None:
    for _, modules in READS.values():
        for module in modules:
            assert (PACKAGE / module).exists(), module


def _imports(path: Path) -> set[Path]:
    """Files of this package that a file imports, at any place in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    places = [PACKAGE.parent.joinpath(*name.split(".")) for name in names if name.split(".")[0] == "yapo"]
    files = [place / "__init__.py" if place.is_dir() else place.with_suffix(".py") for place in places]
    return {file for file in files if file.is_file()}


@pytest.mark.parametrize(
    "stage", ["data", "layer", "prepare", "train", "evaluate", "portable", "portable_table", "tables", "figures"]
)
def test_all_code_that_makes_a_result_is_in_its_digest(stage: str) -> None:
    """Then a change to it reruns the stage."""
    modules = READS[stage if stage in READS else "report"][1]
    reached, ahead = set[Path](), [PACKAGE / "stages" / f"{stage}.py"]
    while ahead:
        file = ahead.pop()
        if file not in reached and str(file.relative_to(PACKAGE)) not in PLUMBING | DATA | PACKAGES:
            reached.add(file)
            ahead += _imports(file)
    listed = [PACKAGE / module for module in modules]
    missing = [file for file in reached if not any(file == place or place in file.parents for place in listed)]
    assert sorted(str(file.relative_to(PACKAGE)) for file in missing) == []


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
