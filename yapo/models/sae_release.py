"""Autoencoders by release and id, as SAELens lists them: checked against its list, downloaded, and kept in a form read here.

Gemma Scope's ``params.npz`` is read as it is. Every other format goes once through SAELens' own loader, in the download stage,
and is kept as a SAELens folder in the hub's cache of derived files (``HF_ASSETS_CACHE``): no other job imports sae-lens.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import cached_assets_path

from yapo.config import SaeConfig
from yapo.errors import YapoError, require_extra
from yapo.files import scratch_folder
from yapo.hub import Repo, cached_commit, cached_file, commit_of, download_file, hub_errors

GEMMA_SCOPE = "gemma_2"  # SAELens' name of the format
COMMIT_FILE = "commit"
LIST = "https://decoderesearch.github.io/SAELens/latest/pretrained_saes/"


@dataclass(frozen=True)
class ListEntry:
    """An entry of SAELens' list.

    Attributes:
        release, id: its name there.
        repo: the hub repository.
        path: its folder or file in the repository.
        format: SAELens' name of the loader; None for its own format.
    """

    release: str
    id: str
    repo: Repo
    path: str
    format: str | None


def listed(config: SaeConfig, layer: int) -> ListEntry:
    """Return the entry of a layer; nothing is downloaded.

    Raises:
        YapoError: no such release or id, with the nearest names; or Gemma Scope's of another place than the output of a block.
    """
    known, wanted = releases(), config.ids.get(layer, config.id).replace("LAYER", str(layer))
    if config.release not in known:
        raise _unknown("sae.release", config.release, "release", known, LIST)
    release = known[config.release]
    repo, paths = Repo("sae.release", release["repo_id"]), {str(entry["id"]): str(entry["path"]) for entry in release["saes"]}
    if wanted not in paths:
        raise _unknown("sae.id", wanted, f"id in the release {config.release}", paths, repo.page)
    entry = ListEntry(config.release, wanted, repo, paths[wanted], release.get("conversion_func"))
    if entry.format == GEMMA_SCOPE and not ("-res" in entry.repo.name and re.match(r"layer_\d+/", entry.path)):
        raise YapoError(f"sae.release={config.release}: {wanted} does not read the output of a block; choose one that does")
    return entry


def named(name: str) -> ListEntry | None:
    """Return the entry that RELEASE/ID names; None where no release is called so, or SAELens is not installed.

    Raises:
        YapoError: the release has no such id; see ``listed``.
    """
    release, _, own_id = name.partition("/")
    if not own_id or importlib.util.find_spec("sae_lens") is None or release not in releases():
        return None
    return listed(SaeConfig(path="", release=release, id=own_id), layer=-1)  # the id says the layer


def neuronpedia(entry: ListEntry) -> str:
    """Return the autoencoder's id on Neuronpedia, such as ``gemma-2-9b/28-gemmascope-res-131k``; empty where no list has one.

    The list may give the same file several names; the first that says an id is taken, the entry's own before the others.
    """
    same = [
        (name != entry.release, str(other["neuronpedia"]))
        for name, release in releases().items()
        if release.get("repo_id") == entry.repo.name
        for other in release["saes"]
        if str(other["path"]) == entry.path and other.get("neuronpedia")
    ]
    return min(same, key=lambda found: found[0])[1] if same else ""


def find(entry: ListEntry) -> Path | None:
    """Return what ``load_sae`` reads, where it was fetched already."""
    if entry.format == GEMMA_SCOPE:
        return cached_file(entry.repo, _npz(entry))
    folder = _converted(entry)
    return folder if folder.is_dir() else None


def fetch(entry: ListEntry) -> tuple[Path, str]:
    """Download an autoencoder and, where needed, convert it.

    Returns:
        A path for ``load_sae``, and its commit.

    Raises:
        YapoError: the hub refuses or cannot be reached, or SAELens cannot load it.
    """
    path = find(entry)
    if entry.format == GEMMA_SCOPE:
        path = path or download_file(entry.repo, _npz(entry))
        return path, commit_of(path)
    path = path or _convert(entry)
    return path, (path / COMMIT_FILE).read_text(encoding="utf-8")


def _convert(entry: ListEntry) -> Path:
    from sae_lens import SAE  # takes seconds

    folder = _converted(entry)
    with hub_errors(entry.repo):
        try:
            sae = SAE.from_pretrained(entry.release, entry.id, device="cpu", dtype="float32")
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise YapoError(f"sae.id={entry.id}: SAELens cannot load it ({reason}); choose another of {entry.release}") from error
        with scratch_folder(folder.parent) as made:
            whole = made / folder.name
            for parameter in sae.parameters():
                parameter.data = parameter.data.contiguous()  # some loaders transpose, and safetensors refuses such weights
            sae.save_model(whole)
            (whole / COMMIT_FILE).write_text(cached_commit(entry.repo), encoding="utf-8")
            whole.rename(folder)
    return folder


def _npz(entry: ListEntry) -> str:
    return f"{entry.path}/params.npz"


def _converted(entry: ListEntry) -> Path:
    """Return where the conversion is kept; another version of sae-lens may convert otherwise."""
    version = importlib.metadata.version("sae-lens")
    return Path(cached_assets_path("yapo", f"sae-{entry.release}", f"{entry.id} sae-lens-{version}")) / "sae"


@cache
def releases() -> dict[str, Any]:
    """Read SAELens' list without importing it."""
    require_extra("sae", "sae_lens")
    spec = importlib.util.find_spec("sae_lens")
    assert spec is not None and spec.origin is not None
    with Path(spec.origin).with_name("pretrained_saes.yaml").open(encoding="utf-8") as file:
        loaded: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return loaded


def _unknown(key: str, value: str, kind: str, known: dict[str, Any], page: str) -> YapoError:
    near = [name for name in known if "/" in value and name.rpartition("/")[0] == value.rpartition("/")[0]]
    near = near or difflib.get_close_matches(value, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return YapoError(f"{key}={value}: no such {kind}; {hint}all are listed on {page}")
