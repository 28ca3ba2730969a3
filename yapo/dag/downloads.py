"""Everything that a study takes from the hub."""

from __future__ import annotations

from typing import Any

from yapo.config import Config
from yapo.dag.scope import layers_to_read
from yapo.names import NEWEST, is_hub_id


def hub_downloads(config: Config) -> dict[str, Any]:
    """Return what a study needs from the hub, by setting. Downloads nothing.

    Raises:
        YapoError: SAELens does not list the autoencoder.
    """
    things: dict[str, Any] = {}
    if is_hub_id(config.model.path):
        things["model"] = {"repo": config.model.path, "revision": config.model.revision}
    if config.judge.name == "local" and is_hub_id(config.judge.model):
        things["judge"] = {"repo": config.judge.model, "revision": NEWEST}
    if config.sae.release:
        things["sae"] = [_entry(config, layer) for layer in layers_to_read(config)]
    if config.data.source == "deep_culture_lense" and is_hub_id(config.data.path):
        things["data"] = {"repo": config.data.path, "revision": config.data.revision or NEWEST}
    return things


def _entry(config: Config, layer: int) -> dict[str, Any]:
    from yapo.models.sae_release import listed  # here: a study of local files has no use for the hub's client

    entry = listed(config.sae, layer)
    return {"release": entry.release, "id": entry.id, "repo": entry.repo.name, "layer": layer}
