"""The DAG itself, run for real on the embedded world: one country, two methods, one task, one setting, one epoch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch

from yapo import load_vector
from yapo.steering.spaces import SAESlice
from yapo.studies.registry import ALONE

from .study import SMALL, Study, environment, planned_jobs, small

OWN = ["train/yapo/open_ended-nonlocalized.safetensors", "vectors/yapo/open_ended-nonlocalized.safetensors", "evaluation.parquet"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = small(tmp_path_factory.mktemp("dag") / "study")
    made.snakemake("--", "all_tables", "all_portable")
    return made


def test_portable_vectors_carry_what_they_need(study: Study) -> None:
    country = study.root / "hindi" / "nepal"
    chosen, portable = (
        load_vector(country / kind / "yapo" / "open_ended-nonlocalized.safetensors") for kind in ("vectors", "portable")
    )
    assert isinstance(portable.payload, SAESlice)
    kept = portable.payload.features
    assert torch.equal(chosen.values[kept], portable.values)
    pruning = portable.info.extra["pruning"]
    assert pruning["touched"] == int((chosen.values != 0).sum()) > len(kept)
    scores = {form: cell["score"] for form, cell in pruning["validation"].items()}
    assert scores[str(len(kept))] >= scores["whole"] - 10 * pruning["tolerance"]
    assert portable.info.extra["stand_in"]["validation_gap"] == pytest.approx(scores["dense"] - scores["whole"])
    selected = pd.read_parquet(country / "validation.parquet").query("selected and method == 'yapo'")
    assert scores["whole"] == pytest.approx(selected["score"].item())
    dense = load_vector(country / "portable" / "caa" / "open_ended-nonlocalized.safetensors")
    assert dense.payload is None
    assert len(pd.read_csv(study.root / "tables" / "portable.csv")) == len(scores)


def test_everything_is_there(study: Study) -> None:
    country = study.root / "hindi" / "nepal"
    assert all((country / name).exists() for name in OWN)
    table = pd.read_csv(study.root / "tables" / "table2_open_ended.csv")
    assert {"baseline", "prompt", "random", "caa", "yapo"} <= set(table["method"])
    assert list((study.root / "figures").glob("*.svg"))
    assert (study.root / "mlflow.db").exists()


def test_a_second_run_does_nothing(study: Study) -> None:
    assert study.planned() == Counter()


def test_without_a_target_the_tables_are_made(study: Study) -> None:
    """And neither a study nor curation is among them."""
    once = ("data", "layer", "prepare", "evaluate", "tables", "figures", "mlflow", "study")
    assert planned_jobs(study.snakemake("--dry-run", "--forceall")) == Counter({**dict.fromkeys(once, 1), "train": 2})


def test_a_learning_rate_reruns_that_method_and_what_follows(study: Study) -> None:
    output = study.snakemake("--dry-run", "--", "all_tables", config=("method_overrides={yapo: train.lr=2e-3}",))
    assert planned_jobs(output) == Counter(train=1, evaluate=1, tables=1, figures=1, mlflow=1, all_tables=1)
    assert "Train yapo: nepal" in output
    assert "Train caa: nepal" not in output


def test_a_method_more_reruns_nothing_of_the_others(study: Study) -> None:
    more = f"overrides={SMALL}".replace("[caa,yapo]", "[caa,yapo,pca,corrsteer]")
    output = study.snakemake("--dry-run", "--", "all_tables", config=(more,))
    assert planned_jobs(output) == Counter(train=2, evaluate=1, tables=1, figures=1, mlflow=1, all_tables=1)
    assert "Train pca: nepal" in output


def test_adapters_rerun_no_vector_and_are_refused_without_their_extra(study: Study) -> None:
    added = (f"overrides={SMALL} adapters=lora",)
    if find_spec("peft") and find_spec("trl"):
        jobs = study.planned(config=added)
        assert jobs == Counter(train_adapter=2, evaluate_adapters=1, tables=1, figures=1, mlflow=1, all_tables=1)
    else:
        output = study.snakemake("--dry-run", "--", "all_tables", config=added, fails=True)
        assert output.splitlines()[-1].endswith("this needs the extra 'lora': pip install 'yapo-pipeline[lora]'")


@pytest.mark.slow
def test_a_table_option_reruns_tables_only(study: Study) -> None:
    jobs = study.planned(config=(f"overrides={SMALL} report.resamples=300",))
    assert set(jobs) == {"tables", "figures", "mlflow", "all_tables"}


def test_one_country_is_rerun_by_one_command(study: Study) -> None:
    output = study.snakemake("--dry-run", "--forcerun", "train", "--", "country_nepal")
    assert planned_jobs(output) == Counter(train=2, evaluate=1, country_nepal=1)


@pytest.mark.slow
def test_a_lost_file_is_made_again(study: Study) -> None:
    lost = study.root / "hindi" / "nepal" / "evaluation.parquet"
    content = lost.read_bytes()
    lost.unlink()
    assert study.planned()["evaluate"] == 1
    study.snakemake("--", "all_tables")
    assert lost.read_bytes() == content


@pytest.mark.slow
def test_narrowing_by_countries(study: Study) -> None:
    jobs = study.planned(config=("countries=[nepal,india]",))
    assert (jobs["prepare"], jobs["train"], jobs["evaluate"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (("countries=[nepl]",), "country=nepl: unknown country"),
        (("experimnt=smoke",), "experimnt"),
        ((f"overrides={SMALL.replace('yapo', 'cue')}",), "methods=cue: tells a country from the study's others"),
    ],
)
def test_bad_config_is_refused_before_anything_runs(tmp_path: Path, config: tuple[str, ...], message: str) -> None:
    fresh = small(tmp_path / "fresh")
    output = fresh.snakemake("--", "all_tables", config=config, fails=True)
    assert message in output
    assert not fresh.root.exists()


def test_a_study_that_cannot_take_a_method_is_refused_before_anything_runs(tmp_path: Path) -> None:
    fresh = small(tmp_path / "fresh")
    output = fresh.snakemake("--", "dspa_study", fails=True)
    assert "error: methods=[caa,yapo]: dspa_study changes what dspa does" in output
    assert "Traceback" not in output
    assert not fresh.root.exists()


def test_all_studies_are_planned_beside_the_tables(study: Study) -> None:
    more = SMALL.replace("methods=[caa,yapo]", "methods=[caa,yapo,dspa]").replace("[nonlocalized]", "[nonlocalized,both]")
    planned = study.planned("--", "all_studies", config=(f"overrides={more}",))
    assert set(ALONE) <= {name.removesuffix("_table") for name in planned}
    assert planned["report"] == 1


@pytest.mark.slow
def test_a_killed_run_continues(tmp_path: Path) -> None:
    fresh = small(tmp_path / "killed")
    running = subprocess.Popen(
        fresh.command("--", "all_tables"), cwd=fresh.folder, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (fresh.root / "data" / "items.parquet").exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    fresh.snakemake("--unlock")
    fresh.snakemake("--", "country_nepal")
    assert (fresh.root / "hindi" / "nepal" / "evaluation.parquet").exists()


def test_each_job_says_what_it_ran(study: Study) -> None:
    run = json.loads((study.root / "hindi" / "nepal" / "train" / "yapo" / "run.json").read_text())
    assert run["method"] == "yapo"
    assert run["config"]["train"]["epochs"] == 1
    assert set(run["versions"]) >= {"torch", "transformers", "sae-lens"}
    for name in ("train/hindi-nepal-yapo", "evaluate/hindi-nepal", "prepare/hindi-nepal"):
        log = (study.root / "logs" / f"{name}.log").read_text()
        assert re.search(r"took [\d.]+ s of CPU, at most \d+ MB of memory\n$", log)
