"""The Hugging Face hub: what the local cache holds, what has to be downloaded, and in one sentence why that failed.

The cache is asked first and the network only for what is not in it, so a job whose files were downloaded once needs none. A
branch such as ``main`` therefore stays at the commit it had when it was downloaded; give a commit to be sure of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError  # of the library that the hub's client uses
from huggingface_hub import constants, get_token, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from yapo.errors import YapoError
from yapo.names import NEWEST


@dataclass(frozen=True)
class Repo:
    """A repository of the hub.

    Attributes:
        key: the setting that names it, which errors begin with.
        name: owner/name.
        revision: branch, tag or commit.
        kind: "model" or "dataset".

    Raises:
        YapoError: the revision cannot be a branch, tag or commit; it names a file of the cache.
    """

    key: str
    name: str
    revision: str = NEWEST
    kind: str = "model"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+/-]{0,199}", self.revision) or ".." in self.revision:
            setting = f"{self.key.rpartition('.')[0]}.revision={self.revision}"
            raise YapoError(f"{setting}: no branch, tag or commit has such a name; give one of {self.name}, or leave it out")

    @property
    def page(self) -> str:
        """Its web page."""
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"


def cached_snapshot(repo: Repo, only: Sequence[str] | None = None) -> Path | None:
    """Return the folder of the revision in the cache, or None where there is none or it is known to be partial.

    Args:
        repo: which.
        only: patterns of the files that are wanted, at the top of the repository; all files if None.
    """
    try:
        return _snapshot(repo, only, offline=True)
    except (LocalEntryNotFoundError, HFValidationError):  # the second is explained by the download
        return None


def download_snapshot(repo: Repo, only: Sequence[str] | None = None) -> Path:
    """Download what is missing of the revision, and return its folder in the cache.

    Raises:
        YapoError: the hub refuses, does not know it or cannot be reached.
    """
    with hub_errors(repo):
        return _snapshot(repo, only, offline=False)


def cached_file(repo: Repo, name: str) -> Path | None:
    """Return one file of the revision in the cache, or None."""
    found = try_to_load_from_cache(repo.name, name, revision=repo.revision, repo_type=repo.kind)
    return Path(found) if isinstance(found, str) else None


def download_file(repo: Repo, name: str) -> Path:
    """Download one file of the revision, and return its path in the cache.

    Raises:
        YapoError: the hub refuses, does not know it or cannot be reached.
    """
    with hub_errors(repo):
        return Path(hf_hub_download(repo.name, name, revision=repo.revision, repo_type=repo.kind))


def commit_of(path: Path) -> str:
    """Return the commit that a folder or file in the cache belongs to."""
    parts = path.absolute().parts
    return parts[len(parts) - parts[::-1].index("snapshots")]


def is_commit(text: str) -> bool:
    """Tell whether a text is a commit in full."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text))


def snapshot_commit(folder: Path) -> str:
    """Return the commit of a model's folder in a cache, wherever that cache lies; empty for any other folder."""
    folder = folder.resolve()
    return commit_of(folder) if folder.match("models--*/snapshots/*") and is_commit(folder.name) else ""


def cached_commit(repo: Repo) -> str:
    """Return the commit that a branch or tag had when it was downloaded."""
    return (_cache(repo) / "refs" / repo.revision).read_text(encoding="utf-8").strip()


def snapshot_of(repo: Repo) -> Path:
    """Return where the cache keeps a repository whose revision is a commit; the folder need not be there."""
    return _cache(repo) / "snapshots" / repo.revision


def snapshots_with_weights(repo: Repo) -> list[Path]:
    """Return the folders of all commits whose weights the cache holds, that of the revision first."""
    folders = {path.parent for path in (_cache(repo) / "snapshots").glob("*/*.safetensors")}
    first = cached_commit(repo) if (_cache(repo) / "refs" / repo.revision).is_file() else repo.revision
    return sorted(folders, key=lambda folder: (folder.name != first, folder.name))


@contextmanager
def hub_errors(repo: Repo) -> Iterator[None]:
    """Turn whatever the hub's client raises inside into one sentence."""
    try:
        yield
    except RevisionNotFoundError as error:
        setting = f"{repo.key.rpartition('.')[0]}.revision={repo.revision}"
        raise YapoError(f"{setting}: {repo.name} has no such branch, tag or commit; see {repo.page}/tree/main") from error
    except (OSError, HTTPError, EntryNotFoundError, HFValidationError) as error:
        raise YapoError(f"{repo.key}={repo.name}: {_reason(repo, error)}") from error


def _cache(repo: Repo) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo.name, repo_type=repo.kind)


def _snapshot(repo: Repo, only: Sequence[str] | None, offline: bool) -> Path:
    folder = snapshot_download(
        repo.name,
        repo_type=repo.kind,
        revision=repo.revision,
        local_files_only=offline,
        allow_patterns=None if only is None else list(only),
        ignore_patterns=None if only is None else ["*/*"],
    )
    return Path(folder)


def _reason(repo: Repo, error: Exception) -> str:
    """Say what is wrong, and what to do about it."""
    if isinstance(error, GatedRepoError):
        state = "the token that is set has no access yet" if get_token() else "no token is set"
        return (
            f"its owner asks everyone to accept a licence first, and {state}; accept it on {repo.page} while logged in, "
            "then set HF_TOKEN to a token of that account (or run `hf auth login`)"
        )
    if isinstance(error, HFValidationError):
        return f"{' '.join(str(error).split())}; give a folder, or owner/name as the hub writes it"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no such {repo.kind}, or it is private; check the name, and set HF_TOKEN if it is private"
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError):
        return _reason(repo, error.__cause__)
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        part = "only a part of it is" if isinstance(error, IncompleteSnapshotError) else "it is not"
        why = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else f"{constants.ENDPOINT} cannot be reached"
        kind = " --repo-type dataset" if repo.kind == "dataset" else ""
        return (
            f"{part} in the cache {constants.HF_HUB_CACHE}, and {why}; where there is a network, run "
            f"`hf download {repo.name}{kind} --revision {repo.revision}`, then copy its cache here (HF_HOME says where)"
        )
    if isinstance(error, EntryNotFoundError):
        return f"a file that is needed is not in the repository; see {repo.page}/tree/{repo.revision}"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return "the hub refuses the token that is set; give a valid one in HF_TOKEN (or run `hf auth login`)"
    if isinstance(error, HfHubHTTPError):
        return f"the hub answers with status {error.response.status_code}; try again later"
    detail = " ".join(str(error).split())
    return f"the download failed ({detail}); run it again, files that are complete are kept"
