"""The stage that downloads, as a job runs it, from a server that answers like the hub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from yapo.config.compose import compose
from yapo.dag.downloads import hub_downloads
from yapo.errors import YapoError

from ..data.lense_rows import hub_rows, save
from ..hub_server import COMMIT, ROOT, Hub, environment, serving

SCOPE = "google/gemma-scope-2b-pt-res"
SAE_ID = "layer_15/width_65k/average_l0_68"
SETTINGS = [
    "model.path=owner/tiny", "sae=gemma_scope_2b", "discovery.layer=15", "data=deep_culture_lense", "data.path=owner/lense",
    "judge=local", "judge.model=owner/judge", "methods=[caa,yapo]",
]  # fmt: skip


def download(tmp_path: Path, hub: Hub | None, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "yapo.stages.download", f"results={tmp_path / 'results'}", *SETTINGS, *overrides]
    return subprocess.run(command, env=environment(tmp_path, hub), cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """A model, a judge, one autoencoder and a data set."""
    (place := tmp_path / "sae" / SAE_ID).mkdir(parents=True)
    np.savez(place / "params.npz", threshold=np.zeros(3))
    data = save(hub_rows(["Hindi"], facts=2), tmp_path / "data", "parquet")
    model = ROOT / "world" / "model"
    repos = {"owner/tiny": model, "owner/judge": model, SCOPE: tmp_path / "sae", "datasets/owner/lense": data}
    return Hub(repos=repos)


def test_everything_is_fetched_and_listed(tmp_path: Path, hub: Hub) -> None:
    with serving(hub):
        done = download(tmp_path, hub)
    assert done.returncode == 0, done.stderr
    marker = tmp_path / "results" / "embedded" / "download.json"
    held = json.loads(marker.read_text())
    path = Path(held["sae"][0].pop("path"))
    assert path.read_bytes() == (tmp_path / "sae" / SAE_ID / "params.npz").read_bytes()
    scope = {"release": "gemma-scope-2b-pt-res", "id": SAE_ID, "repo": SCOPE, "layer": 15, "commit": COMMIT}
    assert held == {
        "model": {"repo": "owner/tiny", "revision": "main", "commit": COMMIT},
        "judge": {"repo": "owner/judge", "revision": "main", "commit": COMMIT},
        "sae": [scope],
        "data": {"repo": "owner/lense", "revision": "main", "commit": COMMIT},
    }
    before = marker.read_bytes()
    again = download(tmp_path, None)
    assert again.returncode == 0, again.stderr
    assert marker.read_bytes() == before


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in ("owner/judge", SCOPE, "datasets/owner/lense")]


@pytest.mark.parametrize("missing", ["owner/tiny", *LONG])
def test_a_refusal_names_the_setting_and_leaves_no_marker(tmp_path: Path, hub: Hub, missing: str) -> None:
    keys = {"owner/tiny": "model.path", "owner/judge": "judge.model", SCOPE: "sae.release", "datasets/owner/lense": "data.path"}
    del hub.repos[missing]
    with serving(hub):
        done = download(tmp_path, hub)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: {keys[missing]}={missing.removeprefix('datasets/')}: the hub has no such ")
    assert not (tmp_path / "results").exists()


def test_a_study_of_files_here_wants_nothing() -> None:
    assert hub_downloads(compose([])) == {}
    assert hub_downloads(compose(["judge=local", "judge.model=world/model"])) == {}


def test_every_layer_that_may_be_chosen_is_wanted() -> None:
    things = hub_downloads(compose(["sae=llama_scope_8b", "discovery.candidates=[3,5]", "methods=[yapo]"]))
    assert [entry["id"] for entry in things["sae"]] == ["l3r_8x", "l5r_8x"]
    more = hub_downloads(compose(["sae=llama_scope_8b", "discovery.candidates=[3,5]", "dspa.layer_in=5", "dspa.layer_out=9"]))
    assert [entry["id"] for entry in more["sae"]] == ["l3r_8x", "l5r_8x", "l9r_8x"]
    study = ["sae=llama_scope_8b", "discovery.layer=3", "dspa.layer_in=5", "dspa.layer_out=9", "studies.dspa_study.layers=[7,9]"]
    assert [entry["layer"] for entry in hub_downloads(compose(study))["sae"]] == [3, 5, 9, 7]
    assert [entry["layer"] for entry in hub_downloads(compose([*study, "methods=[yapo]"]))["sae"]] == [3]
    assert set(things) == {"sae"}
    with pytest.raises(YapoError, match=r"sae.id=l99r_8x: no such id in the release llama_scope_lxr_8x"):
        hub_downloads(compose(["sae=llama_scope_8b", "discovery.layer=99"]))
