"""Search for an autoencoder by its digest, wherever the vector that names it was made.

Digests that were seen are remembered in ``autoencoders.json`` of the cache: ``$YAPO_CACHE``, by default ``~/.cache/yapo``.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from huggingface_hub import constants

from yapo.errors import YapoError
from yapo.files import read_json, write_json
from yapo.models.sae import CONFIG_FILE, SAE, load_sae

INDEX = "autoencoders.json"
MOST_PLACES = 20  # remembered of one autoencoder
# Paths of downloaded autoencoders, in anyone's cache: repository and file of the hub, or release and id that SAELens converted.
_OF_HUB = re.compile(r"models--([^/]+)/snapshots/[^/]+/(.+)")
_CONVERTED = re.compile(r"yapo/sae-([^/]+)/(.+)--sae-lens-[^/]+/sae")


def cache_folder() -> Path:
    """Return the folder of what this package remembers."""
    named, caches = os.environ.get("YAPO_CACHE"), os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(caches) / "yapo"


def remember(sae: SAE) -> None:
    """Note where an autoencoder was read from; nothing happens where the cache cannot be written."""
    if not sae.source or not os.path.exists(sae.source):
        return
    place = str(Path(sae.source).resolve())
    known = _index()
    places = known.get(sae.digest, [])
    if place not in places:
        with contextlib.suppress(YapoError, OSError):
            write_json(cache_folder() / INDEX, known | {sae.digest: [place, *places][:MOST_PLACES]})


def named_sae(given: Path | str, device: torch.device | str = "cpu") -> SAE:
    """Read an autoencoder from its folder or file, or by its name on the hub, and remember where it was.

    Args:
        given: a path; or RELEASE/ID of SAELens' list, such as ``gemma-scope-2b-pt-res/layer_15/width_65k/average_l0_68``, that
            was downloaded before. Nothing is downloaded here.
        device: where the weights go.

    Raises:
        YapoError: see ``load_sae``; the release has no such id, or it was not downloaded.
    """
    sae = load_sae(_downloaded(str(given)) or given, device=device)
    remember(sae)
    return sae


def _downloaded(name: str) -> Path | None:
    """Return the file or folder of RELEASE/ID; None where that is a path, or no release is called so."""
    if os.path.exists(name):
        return None
    from yapo.models.sae_release import find, named  # reads SAELens' list, which takes a second

    entry = named(name)
    if entry is None:
        return None
    place = find(entry)
    if place is None:
        raise YapoError(f"sae={name}: not downloaded yet; run `yapo download {name}` first")
    return place


def find_sae(name: str, digest: str, file: Path | None, device: torch.device) -> SAE:
    """Return the autoencoder that a vector's header names.

    It is looked for where the name says, from here and from the folders above the vector's file; in this user's cache of the hub,
    where it was downloaded; beside the vector; and where it was seen before. The first that has the digest is taken.

    Args:
        name: its path in the header.
        digest: that it must have; any if empty.
        file: the vector's; None for a vector made in memory.
        device: where the weights go.

    Raises:
        YapoError: it is in none of these places.
    """
    seen, refusal = list[str](), ""
    for place in dict.fromkeys(_places(name, digest, file)) or [Path(name)]:
        try:
            sae = load_sae(place, device=device)
        except YapoError as error:
            refusal = refusal or str(error)
            continue
        if not digest or sae.digest == digest:
            remember(sae)
            return sae
        seen.append(f"{place} ({sae.digest})")
    if seen:
        raise YapoError(
            f"the vector was trained with the autoencoder {name} ({digest}), not {', '.join(seen)}; where it lies elsewhere, "
            "give sae=..."
        )
    raise YapoError(f"{refusal}; the vector's header names it: {_way_to_get(name)}, give sae=...")


def _way_to_get(name: str) -> str:
    """Return how a missing autoencoder is had: downloaded, if it was at first; the sentence goes on with how to name it."""
    if found := _OF_HUB.search(name):
        return f"run `hf download {found[1].replace('--', '/', 1)} {found[2]}`, or where it lies elsewhere"
    if found := _CONVERTED.search(name):
        return f"run `yapo download {found[1]}/{found[2].replace('--', '/')}`, or where it lies elsewhere"
    return "where it lies elsewhere"


def _places(name: str, digest: str, file: Path | None) -> Iterator[Path]:
    """Yield the files and folders there are that may hold it, the likeliest first."""
    above = [] if file is None else list(file.absolute().parents)
    named = [Path(name), *(folder / name for folder in above)] if name else []
    yield from (path for path in named if os.path.exists(path))
    yield from _in_own_cache(name)
    if above:
        yield from sorted({path.parent for path in above[0].glob(f"*/{CONFIG_FILE}")} | set(above[0].glob("*.npz")))
        yield from (path for path in [above[0]] if (path / CONFIG_FILE).is_file())
    yield from (Path(place) for place in _index().get(digest, []) if os.path.exists(place))


def _in_own_cache(name: str) -> Iterator[Path]:
    """Yield where this user's caches hold what the name, a path into another's, is of: of any commit, by any converter."""
    if found := _OF_HUB.search(name):
        pattern = (constants.HF_HUB_CACHE, f"models--{found[1]}/snapshots", "*", found[2])
    elif found := _CONVERTED.search(name):
        pattern = (constants.HF_ASSETS_CACHE, f"yapo/sae-{found[1]}", f"{glob.escape(found[2])}--sae-lens-*", "sae")
    else:
        return
    root, folder, any_of, rest = pattern
    yield from sorted(path / rest for path in (Path(root) / folder).glob(any_of) if os.path.exists(path / rest))


def _index() -> dict[str, list[str]]:
    """Return the places of each digest; none where there is no index or it is damaged."""
    try:
        found = read_json(cache_folder() / INDEX)
    except YapoError:
        return {}
    if not isinstance(found, dict):
        return {}
    is_right = {key: isinstance(value, list) and all(isinstance(place, str) for place in value) for key, value in found.items()}
    return {key: value for key, value in found.items() if is_right[key]}
