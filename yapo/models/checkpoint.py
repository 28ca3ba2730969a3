"""Where a language model's files are: a folder here, or the hub's cache. Says which file is missing before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from yapo.errors import YapoError
from yapo.files import file_digest
from yapo.hub import NEWEST, Repo, cached_snapshot, download_snapshot, is_hub_id

# At the top of the repository; not the PyTorch copies of the weights that some have too.
FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def model_folder(path: str, revision: str = NEWEST, key: str = "model.path") -> Path:
    """A folder with every file of a model; downloaded to the hub's cache if it is not complete there.

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
    elif not folder.is_dir():
        raise YapoError(f"{key}={path}: no such folder; give a Hugging Face folder or a hub id")
    elif revision != NEWEST:
        raise YapoError(f"{key.rpartition('.')[0]}.revision={revision}: {path} is a folder, which has no revisions; leave it out")
    missing = missing_file(folder)
    if missing is not None:
        raise YapoError(f"{key}={path}: {missing} is missing; download or copy the rest of it")
    return folder


def weights_digest(folder: Path) -> str:
    """Digest of a folder's weights; empty where it has none."""
    weights = sorted(folder.glob("*.safetensors"))
    return file_digest(*weights) if weights else ""


def missing_file(folder: Path) -> str | None:
    """The first file that loading would not find, or None."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if (folder / INDEX).is_file():
        try:
            shards = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"a readable {INDEX} ({folder / INDEX} is damaged)"
        for shard in shards:
            if not (folder / shard).is_file():
                return f"{shard}, one of the {len(shards)} that {INDEX} names,"
    elif not (folder / WEIGHTS).is_file():
        return f"{WEIGHTS} (weights in other formats are not read)"
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return f"the tokenizer ({' or '.join(TOKENIZERS)})"
    return None
