"""The Slurm profile: read as it is everywhere, and used where there is a Slurm."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
import yte

from tests.workflow.test_dag import ROOT, Study, planned_jobs
from yapo.stages.command_line import PLUGIN

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
    """Why nothing can be submitted from here."""
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


def model_rules() -> set[str]:
    """Rules that ask for a GPU where there is one."""
    found = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in re.split(r"^(?=\s*rule )", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            name = re.match(r"\s*rule (\w+):", block)
            if name and re.search(r"^\s*gpu=", block, re.MULTILINE):
                found.add(name[1])
    return found


@pytest.mark.usefixtures("plugin")
def test_every_job_that_loads_the_model_gets_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_profile(monkeypatch)["set-resources"].keys() == model_rules() >= {"layer", "train", "evaluate"}


@pytest.mark.usefixtures("plugin")
def test_the_cluster_is_described_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, named = read_profile(monkeypatch), read_profile(monkeypatch, **CLUSTER)
    assert (plain["resources"]["gpu"], named["resources"]["gpu"]) == (8, 4)
    added = {
        key: named["default-resources"][key] for key in named["default-resources"].keys() - plain["default-resources"].keys()
    }
    assert added == {"slurm_partition": "cpu", "slurm_account": "lab"}
    before, after = plain["set-resources"]["train"], named["set-resources"]["train"]
    assert {key: after[key] for key in after.keys() - before.keys()} == {"slurm_partition": "gpu", "gpu_model": "a100"}
    for attempt, memory in enumerate((48000, 72000, 96000), start=1):
        assert eval(after["mem_mb"], {"attempt": attempt}) == memory


@pytest.mark.usefixtures("plugin")
def test_a_cluster_without_gpus_is_asked_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = read_profile(monkeypatch, YAPO_SLURM_GPUS="0", YAPO_SLURM_GPU_MODEL="a100")
    assert {job["gpu"] for job in profile["set-resources"].values()} == {0}
    assert not any("gpu_model" in job for job in profile["set-resources"].values())


@pytest.mark.usefixtures("plugin")
def test_a_dry_run_plans_the_same_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With all of the profile that does not need the plugin."""
    profile = read_profile(monkeypatch, YAPO_SLURM_GPUS="2")
    profile = {key: value for key, value in profile.items() if key != "executor" and not key.startswith("slurm-")}
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    study = Study(tmp_path / "study")
    arguments = ("--dry-run", "--workflow-profile", str(tmp_path / "profile"), "--", "all_tables")
    planned = planned_jobs(study.snakemake(*arguments))
    assert planned == study.planned()
    assert planned >= Counter(data=1, layer=1, prepare=1, train=2, evaluate=1, tables=1)


@pytest.mark.skipif(WITHOUT_SLURM is not None, reason=str(WITHOUT_SLURM))
def test_slurm_makes_the_files_that_a_local_run_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local, cluster = Study(tmp_path / "local"), Study(tmp_path / "cluster")
    name = "results/smoke/layer.json"
    local.snakemake("--", name)
    monkeypatch.setenv("YAPO_SLURM_GPUS", "0")
    monkeypatch.setenv("YAPO_SLURM_MEM_MB", "4000")
    waits = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2", "--retries", "0"]
    quick = ["--slurm-status-command", "squeue", *waits]
    output = cluster.snakemake("--workflow-profile", str(PROFILE), *quick, "--", name)
    assert len(re.findall(r"has been submitted with SLURM jobid \d+", output)) == 2
    assert (cluster.folder / name).read_bytes() == (local.folder / name).read_bytes()
