"""The experiments of ``conf/experiment``: settings of the paper, autoencoders that exist, and a plan without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yapo.config.compose import compose
from yapo.config.conf_files import group_options
from yapo.dag.downloads import hub_downloads
from yapo.models.sae_release import listed, releases

from ..hub_server import ROOT, environment
from ..workflow.study import planned_jobs

OF_THE_HUB = [name for name in group_options("experiment") if name not in ("embedded", "regions", "smoke", "smollm2")]
# The model that the autoencoders were trained on: blocks, width.
BASES = {
    "gemma-2-2b": (26, 2304),
    "gemma-2-9b": (42, 3584),
    "meta-llama/Llama-3.1-8B": (32, 4096),
    "Qwen/Qwen3-8B-Base": (36, 4096),
}


def test_which_there_are() -> None:
    assert {"gemma2_2b", "gemma2_9b", "llama31_8b", "qwen3_8b"} <= set(OF_THE_HUB)
    downloads = {name: hub_downloads(compose([f"experiment={name}"])) for name in group_options("experiment")}
    assert [name for name in downloads if downloads[name]] == OF_THE_HUB


@pytest.mark.parametrize(
    ("name", "model", "layer", "repo", "path"),
    [
        ("gemma2_2b", "google/gemma-2-2b-it", 15, "google/gemma-scope-2b-pt-res", "layer_15/width_65k/average_l0_68"),
        ("gemma2_9b", "google/gemma-2-9b-it", 28, "google/gemma-scope-9b-pt-res", "layer_28/width_131k/average_l0_98"),
    ],
)
def test_the_experiments_of_the_paper(name: str, model: str, layer: int, repo: str, path: str) -> None:
    config = compose([f"experiment={name}", "method=yapo"])
    assert (config.model.path, config.model.dtype, config.model.max_prompt_tokens) == (model, "bfloat16", 512)
    assert config.discovery.layer == layer
    entry = listed(config.sae, layer)
    assert (entry.repo.name, entry.path) == (repo, path)
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.warmup_steps, train.beta) == (20, 4, 5e-4, 100, 0.1)
    assert train.weight_decay == 0.05
    assert config.data.source == "deep_culture_lense"


@pytest.mark.parametrize("name", OF_THE_HUB)
def test_autoencoders_are_of_the_models_family(name: str) -> None:
    config = compose([f"experiment={name}"])
    base = releases()[config.sae.release]["model"]
    blocks, _ = BASES[base]
    assert config.model.path.rpartition("/")[2].lower().startswith(base.rpartition("/")[2].lower().removesuffix("-base"))
    layers = config.discovery.candidates if config.discovery.layer is None else [config.discovery.layer]
    assert all(layer < blocks - 1 for layer in [*layers, *config.discovery.candidates])
    own = (config.dspa.layer_in, config.dspa.layer_out)
    assert [entry["layer"] for entry in hub_downloads(config)["sae"]] == list(dict.fromkeys([*layers, *own]))
    assert own[0] < own[1] < blocks - 1
    alone = compose([f"experiment={name}", "methods=[caa,yapo]"])
    assert [entry["layer"] for entry in hub_downloads(alone)["sae"]] == layers


@pytest.mark.parametrize(
    ("name", "layers", "ids"),
    [
        ("gemma2_2b", (7, 24), ("layer_7/width_16k/average_l0_69", "layer_24/width_16k/average_l0_73")),
        ("gemma2_9b", (9, 39), ("layer_9/width_16k/average_l0_100", "layer_39/width_16k/average_l0_131")),
        ("qwen3_8b", (9, 18), ("layer9", "layer18")),
    ],
)
def test_the_layers_of_the_dspa_paper(name: str, layers: tuple[int, int], ids: tuple[str, str]) -> None:
    config = compose([f"experiment={name}", "method=dspa"])
    options = config.method.options
    assert (options["layer_in"], options["layer_out"]) == layers
    assert (options["alpha"], options["k_prompt"], options["k_diff"], options["mode"]) == (0.2, 32, 16, "ablate")
    assert tuple(listed(config.sae, layer).id for layer in layers) == ids


# Experiments that end in _published are planned as their base is.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "gemma2_2b" else pytest.mark.slow)
        for name in OF_THE_HUB
        if not name.endswith("_published")
    ],
)
def test_the_plan_needs_no_network(name: str, tmp_path: Path) -> None:
    """One job downloads; the rest follows it, a branch for each of the paper's 15 countries."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--dry-run"]
    done = subprocess.run(
        [*command, "--config", f"experiment={name}", "--", "all_tables"],
        cwd=tmp_path,
        env=environment(tmp_path, None),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = planned_jobs(done.stdout + done.stderr)
    assert (jobs["download"], jobs["data"], jobs["prepare"], jobs["train"], jobs["evaluate"]) == (1, 1, 15, 75, 15)
    assert not (tmp_path / "hub").exists()
