"""The files that a study is given: its data, the weights of its model and of its autoencoders."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape, glob
from pathlib import Path
from typing import Any

from yapo.checks import IMPORTED
from yapo.config import Config
from yapo.config.conf_files import ROOT
from yapo.data.atlas import ATLAS_DIR
from yapo.data.regions import REGIONS_DIR
from yapo.errors import YapoError
from yapo.names import is_hub_id
from yapo.paths import imported_vector


def data_files(config: Config) -> list[Path]:
    """Return the files of the study's data.

    Raises:
        YapoError: see ``files_in``.
    """
    shipped = {"atlas": ATLAS_DIR, "regions": REGIONS_DIR}
    if config.data.source in shipped:
        return files_in(_in_project(shipped[config.data.source]), "*.yaml")
    review = files_in(config.data.review, "*") if config.data.review else []
    return [*(path for path in files_in(config.data.path, "**/*") if path.is_file()), *review]


def model_files(config: Config) -> list[Path]:
    """Return the weights of the model; none where it comes from the hub.

    Raises:
        YapoError: the path is neither a folder nor a hub id; or see ``files_in``.
    """
    path = config.model.path
    if not (is_hub_id(path) or Path(path).is_dir()):
        raise YapoError(f"model.path={path}: no such folder, and no hub id (owner/name); docs/own-model.md says how to get one")
    return files_in(path, "*.safetensors")


def sae_files(config: Config) -> list[Path]:
    """Return the weights of the autoencoders of all layers, where their folders are given.

    Raises:
        YapoError: see ``files_in``.
    """
    folders = glob(escape(config.sae.path).replace("LAYER", "*"))
    return sorted(path for folder in folders for path in files_in(folder, "*.safetensors"))


def imported_files(config: Mapping[str, Any], country: str) -> list[Path]:
    """Return the vectors that the method imported takes for a country; none for another method.

    Args:
        config: the settings of the method's training, as nested dictionaries.
        country: the country.

    Raises:
        YapoError: no file is given; see ``yapo.dag.imported_vectors.check_vector_file`` and ``files_in``.
    """
    if config["method"]["name"] != IMPORTED:
        return []
    from yapo.dag.imported_vectors import check_vector_file  # imports torch, which planning without this method does not
    from yapo.steering.method import read_options
    from yapo.steering.methods.imported import Options

    pattern = read_options(Options, config["method"]["options"]).file
    needed: dict[Path, str] = {}
    for task in config["tasks"]:
        for setting in config["settings"]:
            needed.setdefault(imported_vector(pattern, country, task, setting), f"{country}, {task}, {setting}")
    for path, place in needed.items():
        check_vector_file(path, config, place)
    return [file for path in sorted(needed) for file in files_in(path, "*")]


def files_in(path: str | Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match, or the path itself if it is a file; nothing if it does not exist.

    Raises:
        YapoError: a name has braces, which Snakemake would read as a wildcard.
    """
    path = Path(path)
    found = [path] if path.is_file() else sorted(path.glob(pattern))
    for file in found:
        if set(str(file)) & set("{}"):
            raise YapoError(f"{file}: braces in the name of an input file; rename it")
    return found


def _in_project(folder: Path) -> Path:
    """Return a folder of the project, relative where that is the working directory: the same path after the project is moved."""
    near = folder.relative_to(ROOT)
    return near if near.exists() and near.samefile(folder) else folder
