"""``yapo doctor``: what is installed, what is missing, and where things are kept."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

import typer

NAME = "yapo-pipeline"
# A requirement as the metadata of a package state it: ``gguf<1,>=0.19; extra == "gguf"``.
_OF_EXTRA = re.compile(r"""(?P<name>[\w.-]+)[^;]*;.*\bextra == ["'](?P<extra>[\w.-]+)["']""")
SHOWN = ("torch", "transformers", "safetensors", "tokenizers", "numpy", "pandas")


def doctor() -> None:
    """Show versions, the device, the caches, and which optional parts are missing.

    Example: yapo doctor
    """
    import torch
    from huggingface_hub.constants import HF_HUB_CACHE

    from yapo import __version__

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    lines = {
        "yapo": __version__,
        "python": platform.python_version(),
        **{name: _version(name) or "missing" for name in SHOWN},
        "device": device,
        "models from the hub": str(HF_HUB_CACHE),
    }
    for name, value in lines.items():
        typer.echo(f"{name}: {value}")
    for extra, missing in missing_packages().items():
        have = f"missing {', '.join(missing)}; pip install '{NAME}[{extra}]'" if missing else "installed"
        typer.echo(f"extra {extra}: {have}")


def missing_packages() -> dict[str, list[str]]:
    """Return the packages of each extra that are not installed; extras that other extras bring are not followed."""
    found: dict[str, list[str]] = {}
    for line in requires(NAME) or []:
        requirement = _OF_EXTRA.match(line)
        if requirement is not None and requirement["name"] != NAME:
            found.setdefault(requirement["extra"], [])
            if _version(requirement["name"]) is None:
                found[requirement["extra"]].append(requirement["name"])
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
