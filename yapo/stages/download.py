"""Stage ``download``: bring everything a study needs from the hub into the cache, in one job, before the others start.

A study whose model, autoencoders, data and judge are all files here has no such job. Where the network is on another machine,
run this stage there and copy the cache (``HF_HOME``).
"""

from __future__ import annotations

import logging

from yapo.config import Config
from yapo.dag.downloads import hub_downloads
from yapo.files import write_json
from yapo.hub import Repo, commit_of, download_snapshot
from yapo.models.checkpoint import model_folder
from yapo.models.sae_release import fetch, listed
from yapo.paths import Paths
from yapo.stages.app import run

READS = ("model", "sae", "judge", "methods")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``download.json``: what was fetched, and the commit of each."""
    things = hub_downloads(config)
    for name, key in (("model", "model.path"), ("judge", "judge.model")):
        if name in things:
            log.info("%s %s", name, things[name]["repo"])
            folder = model_folder(things[name]["repo"], things[name]["revision"], key)
            things[name]["commit"] = commit_of(folder)
    for thing in things.get("sae", []):
        log.info("autoencoder %s %s", thing["release"], thing["id"])
        path, commit = fetch(listed(config.sae, thing["layer"]))
        thing.update(commit=commit, path=str(path))
    if "data" in things:
        log.info("data %s", things["data"]["repo"])
        repo = Repo("data.path", things["data"]["repo"], things["data"]["revision"], "dataset")
        things["data"]["commit"] = commit_of(download_snapshot(repo))  # asks the hub, where it can, whether a file is missing
    write_json(Paths.of(config).download, things)


if __name__ == "__main__":
    run(main)
