"""The terminal of a run: a line a finished job, a sentence a failed one, and the reason of each job of a dry run."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from snakemake.jobs import Reason
from snakemake.persistence import ParamsChange
from snakemake.settings.types import OutputSettings

from snakemake_logger_plugin_yapo import WIDTH, LogHandler, figures, span
from snakemake_logger_plugin_yapo.reasons import clauses

ROOT = Path(__file__).resolve().parents[1]
SNAKEFILE = r"""
rule all:
    input:
        expand("{name}/curves.jsonl", name=config["names"]),


rule train:
    output:
        curves="{name}/curves.jsonl",
    log:
        "{name}.log",
    params:
        lr=f"train.lr = {config['lr']}",
    message:
        "Train {wildcards.name}"
    shell:
        "printf '%s\\n' '{{\"kind\": \"step\", \"loss\": 9}}' '{{\"validation_loss\": 0.25}}' > {output.curves} && "
        "if test {wildcards.name} = bad; then (echo working; echo 'error: train.lr=1: too large') > {log}; exit 2; fi"
"""


def snakemake(folder: Path, *words: str, names: list[str], lr: object = 0.1) -> str:
    config = ["--config", f"names=[{','.join(names)}]", f"lr={lr}"]
    command = [sys.executable, "-m", "snakemake", "--logger", "yapo", "--cores", "1", "--keep-going", *words, *config]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert all(len(line) <= WIDTH for line in (done.stdout + done.stderr).splitlines())
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of two jobs, one of which failed, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    return folder, snakemake(folder, names=["good", "bad"])


def test_scores_of_what_validation_chose(tmp_path: Path) -> None:
    rows = [("mcq", "baseline", True, 0.5), ("mcq", "yapo", True, 0.75), ("mcq", "caa", True, 0.25), ("mcq", "caa", False, 1.0)]
    frame = pd.DataFrame(rows, columns=["task", "method", "selected", "score"])
    frame.to_parquet(tmp_path / "validation.parquet")
    assert list(figures([str(tmp_path / "validation.parquet")])) == ["mcq 0.50 unsteered, 0.75 yapo"]


def test_a_run_prints_a_line_a_finished_job_and_a_sentence_a_failed_one(ended: tuple[Path, str]) -> None:
    folder, output = ended
    assert re.search(r"^3 jobs to run: 2 train, 1 all$", output, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d  1/3  Train good, [\d.]+ s, validation loss 0.250, [\d.]+ s left$", output, re.MULTILINE)
    assert re.search(r"FAILED  Train bad after [\d.]+ s; log: bad.log\n    error: train.lr=1: too large\n", output)
    assert "WorkflowError: At least one job did not complete successfully." in output
    (log,) = (folder / ".snakemake" / "log").glob("*.snakemake.log")
    assert "rule train" in log.read_text(encoding="utf-8") or "Job 1: Train good" in log.read_text(encoding="utf-8")


def test_a_dry_run_names_the_setting_that_changed_and_sums_up_many_jobs(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    output = snakemake(folder, "--dry-run", names=["good", *(f"n{number}" for number in range(7))], lr=0.2)
    assert output.count("Train good, because train.lr was 0.1, is 0.2") == 1
    assert re.search(r"^train: 7 jobs, such as Train n\d, because n\d/curves.jsonl is missing$", output, re.MULTILINE)


def test_a_planned_job_takes_one_line_however_long_its_settings_are(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    countries = ".".join(f"country{number:03d}" for number in range(99))
    output = snakemake(folder, "--dry-run", names=["good"], lr=countries)
    assert re.search(r"^Train good, because train.lr was 0.1, is.* …$", output, re.MULTILINE)


def said(**causes: object) -> list[str]:
    """The words for a reason that Snakemake makes of these causes."""
    reason = Reason()
    for name, value in causes.items():
        setattr(reason, name, value)
    return [clause.text for clause in clauses(str(reason))]


def changed(before: list[str], now: list[str]) -> str:
    """The words for params that changed."""
    (text,) = said(params_changed=ParamsChange(set(map(repr, before)), set(map(repr, now)), {"out"}))
    return text


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (["train.lr = 0.001"], ["train.lr = 0.002"], "train.lr was 0.001, is 0.002"),
        (["a=[1, 'x,y']"], ['a=[2, "it\'s"]'], "a was [1, 'x,y'], is [2, \"it's\"]"),
        (["yapo/files.py = 12ab"], ["yapo/files.py = 34cd"], "yapo/files.py changed"),
        ([], ["b = 1"], "b is new (1)"),
        (["b = 1"], [], "b was 1, is gone"),
        (["command --x"], ["command --y"], "a setting changed"),
        (
            [f"k{i} = 1" for i in range(5)],
            [f"k{i} = 2" for i in range(5)],
            "k0 was 1, is 2 and k1 was 1, is 2 and k2 was 1, is 2 and 2 more changed",
        ),
    ],
)
def test_params_are_told_by_name(before: list[str], now: list[str], words: str) -> None:
    assert changed(before, now) == words


def test_files_are_told_by_the_first_and_their_number() -> None:
    assert said(_missing_output={"b", "a", "c"}) == ["a and 2 more are missing"]
    assert said(_updated_input={"a"}, code_changed=True) == ["a is changed", "its rule changed"]
    assert said(_missing_output={"a"}, _updated_input_run={"b"}) == ["a is missing"]
    assert said(_updated_input_run={"b"}) == ["b is made anew by another job"]
    assert said(forced=True) == ["it is asked for"]


def test_what_snakemake_says_besides_is_passed_on_or_left_to_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogHandler(OutputSettings(), None)
    for text in ("Building DAG of jobs...", "Nothing to be done (all requested files are present and up to date)."):
        handler.emit(logging.makeLogRecord({"msg": text}))
    assert capsys.readouterr().err == "Nothing to be done (all requested files are present and up to date).\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.4, "9.4 s"), (59.7, "1 min 00 s"), (61, "1 min 01 s"), (7384, "2 h 03 min")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
