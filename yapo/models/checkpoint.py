"""Folders with a language model's files, local or in the hub's cache, checked for missing files before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from yapo.errors import YapoError
from yapo.files import file_digest, read_json
from yapo.hub import Repo, cached_snapshot, commit_of, download_snapshot
from yapo.names import NEWEST, is_hub_id

# At the top of the repository; not the PyTorch copies of the weights that some have too.
FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"


def model_folder(path: str, revision: str = NEWEST, key: str = "model.path") -> Path:
    """Return a folder with every file of a model; downloaded to the hub's cache if it is not complete there.

    Args:
        path: a folder in Hugging Face format, or a hub id.
        revision: branch, tag or commit of a hub id.
        key: the setting that names it, which errors begin with.

    Raises:
        YapoError: no such folder, a file is missing, or the hub cannot give it.
    """
    folder = Path(path)
    if is_hub_id(path):
        repo = Repo(key, path, revision)
        cached = cached_snapshot(repo, FILES)
        folder = cached if cached and missing_file(cached) is None else download_snapshot(repo, FILES)
    elif not os.path.isdir(path):  # says no where pathlib raises: of names that no file can have
        raise YapoError(f"{key}={path}: no such folder; give a Hugging Face folder or a hub id")
    elif revision != NEWEST:
        raise YapoError(f"{key.rpartition('.')[0]}.revision={revision}: {path} is a folder, which has no revisions; leave it out")
    foreign = next((name for name in _indexed(folder) or () if not _is_own_safetensors(name)), None)
    if foreign is not None:
        raise YapoError(
            f"{key}={path}: {INDEX} names {foreign!r}, which is no .safetensors file of this folder and is not opened; "
            "save the model again as safetensors"
        )
    shards = _index(folder) or []
    twice = WEIGHTS not in shards and all(os.path.isfile(folder / name) for name in (WEIGHTS, *shards))
    if shards and twice and not is_hub_id(path):
        raise YapoError(f"{key}={path}: both {WEIGHTS} and the files of {INDEX} are whole models; move one of them elsewhere")
    missing = missing_file(folder)
    if missing is not None:
        raise YapoError(f"{key}={path}: {missing} is missing; download or copy the rest of it")
    if (folder / ADAPTER).exists():
        raise YapoError(f"{key}={path}: {ADAPTER} makes this an adapter of another model; merge it, and give the merged folder")
    return folder


def weights_digest(folder: Path) -> str:
    """Return the digest of a folder's weights; empty where it has none."""
    weights = sorted(folder.glob("*.safetensors"))
    return file_digest(*weights) if weights else ""


def model_digest(folder: Path, path: str) -> str:
    """Return what identifies a model's weights: the commit where ``path`` is an id of the hub, otherwise the files' digest."""
    return weights_digest(folder) if folder == Path(path) else commit_of(folder)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that a complete folder's weights are read from."""
    return [folder / name for name in _indexed(folder) or [WEIGHTS]]


def missing_file(folder: Path) -> str | None:
    """Return the first file that loading would not find, or None."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not (folder / WEIGHTS).is_file():
        shards = _indexed(folder)
        if shards is None:
            return f"a readable {INDEX} ({folder / INDEX} is damaged)"
        if not shards:
            return f"{WEIGHTS} (weights in other formats are not read)"
        for shard in shards:
            if not os.path.isfile(folder / shard):
                return f"{shard}, one of the {len(shards)} that {INDEX} names,"
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return f"the tokenizer ({' or '.join(TOKENIZERS)})"
    if not (folder / TOKENIZER_CONFIG).is_file():
        return TOKENIZER_CONFIG
    return None


def _indexed(folder: Path) -> list[str] | None:
    """Return the files that the weights' index names; none where they are one file, None where the index is damaged."""
    return [] if (folder / WEIGHTS).is_file() else _index(folder)


def _index(folder: Path) -> list[str] | None:
    if not (folder / INDEX).is_file():
        return []
    try:
        names = set(read_json(folder / INDEX)["weight_map"].values())
    except (YapoError, KeyError, TypeError, AttributeError):
        return None
    return sorted(names) if names and all(isinstance(name, str) for name in names) else None


def _is_own_safetensors(name: str) -> bool:
    """Return whether a name is that of a file at the top of the folder in the one format that is read."""
    return name == Path(name).name and "\\" not in name and name.endswith(".safetensors")
