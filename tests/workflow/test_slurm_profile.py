"""The Slurm profile: read as it is everywhere, and used where there is a Slurm."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
import yte

from tests.workflow.study import ROOT, small
from yapo.dag.command_line import PLUGIN

PROFILE = ROOT / "profiles" / "slurm"
CLUSTER = {
    "YAPO_SLURM_ACCOUNT": "lab",
    "YAPO_SLURM_PARTITION": "cpu",
    "YAPO_SLURM_GPU_PARTITION": "gpu",
    "YAPO_SLURM_GPU_MODEL": "a100",
    "YAPO_SLURM_GPUS": "4",
    "YAPO_SLURM_MEM_MB": "48000",
}


def no_slurm() -> str | None:
    """Return the reason why nothing can be submitted from here."""
    if shutil.which("sbatch") is None:
        return "sbatch not found"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm is not installed"
    if subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False).returncode:
        return "no Slurm controller answers"
    return None


WITHOUT_SLURM = no_slurm()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the profile be read where the plugin is not installed: a folder of its name is found in its place."""
    (tmp_path / "plugins" / PLUGIN).mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))


def read_profile(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    """The profile as Snakemake reads it under these variables and no others of ours."""
    monkeypatch.setattr(sys, "argv", ["snakemake"])
    for name in CLUSTER:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with (PROFILE / "config.yaml").open(encoding="utf-8") as file:
        profile: dict[str, Any] = yte.process_yaml(file, require_use_yte=True)
    return profile


# Writes what each planned job asks for: with a message, Snakemake prints nothing else about it.
RECORDER = """
import json
from snakemake_interface_logger_plugins.base import LogHandlerBase
class LogHandler(LogHandlerBase):
    writes_to_stream, writes_to_file, has_filter, has_formatter, needs_rulegraph = True, False, True, True, False
    def emit(self, record):
        if hasattr(record, "rule_name") and hasattr(record, "resources"):
            asked = {key: value for key, value in record.resources.items() if isinstance(value, int | str)}
            print("asks", json.dumps({"rule": record.rule_name, **asked}))
"""


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> dict[str, dict[str, Any]]:
    """Plan a small study under the profile, but for the parts that need the plugin; return what a job of each rule asks for."""
    profile = read_profile(monkeypatch, **variables)
    profile = {key: value for key, value in profile.items() if key != "executor" and not key.startswith("slurm-")}
    (folder / "profile").mkdir()
    (folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    (folder / "snakemake_logger_plugin_record").mkdir()
    (folder / "snakemake_logger_plugin_record" / "__init__.py").write_text(RECORDER)
    study = small(folder / "study")
    command = study.command("--dry-run", "--logger", "record", "--workflow-profile", str(folder / "profile"), "--", "all_tables")
    paths = os.pathsep.join([str(ROOT), str(folder)])
    done = subprocess.run(
        command, cwd=study.folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    jobs = [json.loads(line.removeprefix("asks ")) for line in done.stdout.splitlines() if line.startswith("asks ")]
    return {job["rule"]: job for job in jobs}


@pytest.mark.usefixtures("plugin")
def test_jobs_ask_for_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jobs = asked(monkeypatch, tmp_path, **CLUSTER)
    for rule, minutes in {"layer": 1080, "prepare": 120, "train": 240, "evaluate": 1440}.items():
        expected = {"gpu": 1, "mem_mb": 48000, "runtime": minutes, "slurm_partition": "gpu", "gpu_model": "a100"}
        assert expected.items() <= jobs[rule].items()
    expected = {"mem_mb": 4000, "runtime": 30, "slurm_partition": "cpu", "slurm_account": "lab"}
    assert expected.items() <= jobs["tables"].items()


@pytest.mark.slow
@pytest.mark.usefixtures("plugin")
def test_a_cluster_without_gpus_is_asked_for_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job = asked(monkeypatch, tmp_path, YAPO_SLURM_GPUS="0", YAPO_SLURM_GPU_MODEL="a100")["train"]
    assert not job.get("gpu") and "gpu_model" not in job and "slurm_partition" not in job


@pytest.mark.skipif(WITHOUT_SLURM is not None, reason=str(WITHOUT_SLURM))
def test_slurm_makes_the_files_that_a_local_run_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local, cluster = small(tmp_path / "local"), small(tmp_path / "cluster")
    name = "results/smoke/layer.json"
    local.snakemake("--", name)
    monkeypatch.setenv("YAPO_SLURM_GPUS", "0")
    monkeypatch.setenv("YAPO_SLURM_MEM_MB", "4000")
    waits = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2", "--retries", "0"]
    quick = ["--slurm-status-command", "squeue", *waits]
    output = cluster.snakemake("--workflow-profile", str(PROFILE), *quick, "--", name)
    assert len(re.findall(r"has been submitted with SLURM jobid \d+", output)) == 2
    assert (cluster.folder / name).read_bytes() == (local.folder / name).read_bytes()
