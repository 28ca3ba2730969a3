"""Installations: the lock file, the extras, and the library alone in an environment of its own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line[0] != "#"]


def test_the_lock_file_pins_every_requirement_within_its_range() -> None:
    pins = {canonicalize_name(requirement.name): requirement.specifier for requirement in LOCK}
    assert {[specifier.operator for specifier in pin] == ["=="] for pin in pins.values()} == {True}
    named = [Requirement(line) for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]]
    ours = [requirement for requirement in named if requirement.name != PROJECT["name"]]
    assert {canonicalize_name(requirement.name) for requirement in ours} == set(pins)
    assert len(ours) == len(pins) == len(LOCK), "a requirement stands in two places"
    for requirement in ours:
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert Version(pin.version) in requirement.specifier, requirement


def test_the_environment_of_conda_takes_the_pins_and_an_allowed_python() -> None:
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert pip == {"pip": ["--constraint requirements.lock", "--editable .[all,dev]"]}
    (python,) = (entry for entry in conda if entry.startswith("python="))
    assert Version(python.partition("=")[2]) in SpecifierSet(PROJECT["requires-python"])


def test_a_script_beside_a_clone_named_yapo_imports_the_package(tmp_path: Path) -> None:
    """A folder without ``__init__.py`` is a namespace package to Python, unless the real one stands later on its path."""
    (tmp_path / "yapo").symlink_to(ROOT)
    script = tmp_path / "script.py"
    script.write_text("import yapo\nprint(yapo.__file__, yapo.load_vector.__name__)\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(ROOT / "yapo" / "__init__.py"), "load_vector"], f"run make again: {done.stderr}"


def closure(requirements: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """The installed distributions that these requirements bring, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = importlib.metadata.distribution(name)
        waiting += map(Requirement, found[name].requires or [])
    return found


def environment(place: Path, requirements: Iterable[str]) -> Path:
    """The Python of a fresh environment with this package, what the requirements bring, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    for distribution in closure(requirements).values():
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
    (packages / "yapo").symlink_to(ROOT / "yapo")
    return place / "bin" / "python"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After ``pip install .``."""
    return environment(tmp_path_factory.mktemp("core"), PROJECT["dependencies"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After ``pip install '.[study]'``."""
    return environment(tmp_path_factory.mktemp("study"), [*PROJECT["dependencies"], *EXTRAS["study"]])


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


LIBRARY = """
import sys
from pathlib import Path
import pandas as pd
import torch
import yapo
from yapo.config import ModelConfig, TrainConfig
from yapo.models.language_model import load_language_model
from yapo.models.sae import load_sae
from yapo.steering.activations import build_store
from yapo.steering.method import FitInputs, Models
from yapo.steering.methods import get_method
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import VectorInfo

sae_folder = Path("world/sae/layer_2")
lm, sae, layer = load_language_model(ModelConfig(path="world/model")), load_sae(sae_folder), 2
word = lm.tokenizer.response
pairs = [TokenPair(lm.tokenizer.prompt(text), word("معمول"), word("كعك")) for text in ("ما الحلوى؟", "ما الرياضة؟", "ماذا؟")]
rows = pd.DataFrame(
    {"question_id": ["a", "b", "c"], "variant": "localized", "phrasing": 0, "split": ["train", "train", "validation"]}
)
inputs = FitInputs(
    store=build_store(lm, layer, sae, pairs, batch_size=2), rows=rows, sets=train_sets(rows, ["localized"]), layer=layer,
    sae=sae, models=Models(lambda first: lm, lambda at: sae, 0.0), train=TrainConfig(epochs=2, batch_size=2),
    options={"threshold": "relu", "features": "fires", "init": "zero"},
    info=VectorInfo("yapo", "sparse", layer, lm.source, lm.digest, str(sae_folder), sae.digest),
    log=lambda row: None, checkpoint=Path(sys.argv[1]),
)
trained = get_method("yapo").fit(inputs)["localized"]
epochs = trained.epochs
assert epochs.ndim == 2 and epochs.isfinite().all() and epochs.abs().sum() > 0

vector = trained.chosen(2, 8.0)
ids = torch.tensor([pairs[0].prompt])
plain = lm.model(ids).logits
with yapo.steer(lm.model, vector):
    steered = lm.model(ids).logits
assert not torch.equal(plain, steered) and torch.equal(plain, lm.model(ids).logits)
print(yapo.rca(80, 40))
"""


@pytest.mark.slow
def test_the_library_alone_trains_and_steers(core: Path, tmp_path: Path) -> None:
    done = run(core, "-c", LIBRARY, str(tmp_path / "checkpoint.safetensors"))
    assert done.stdout.startswith("53.33"), done.stderr


def said(done: subprocess.CompletedProcess[str], module: str, extra: str) -> bool:
    """Whether the last line says which module is missing and what installs it."""
    sentence = f"{module} is not installed; this needs the extra '{extra}': pip install 'yapo-pipeline[{extra}]'"
    return done.stderr.strip().endswith(sentence)


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("yapo.stages.data", "hydra", "study"),
        ("yapo.studies.gap.run", "hydra", "study"),
        ("yapo.studies.knowledge.baseline", "hydra", "study"),
        ("yapo.warm -m yapo.studies.transfer.report", "hydra", "study"),
        ("yapo.tracking ingest --results world", "mlflow", "track"),
        pytest.param(
            "yapo train --model world/assistant/model --pairs world/behaviours/wealth_seeking/test.csv --method probe --layer 2 "
            "-o v.safetensors",
            "sklearn",
            "study",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_command_names_the_extra_that_it_needs(core: Path, command: str, module: str, extra: str) -> None:
    done = run(core, "-m", *command.split())
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and said(done, module, extra), done.stderr


@pytest.mark.slow
def test_lm_eval_is_of_an_extra(study: Path) -> None:
    done = run(study, "-m", "yapo.studies.knowledge.baseline")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and said(done, "lm_eval", "knowledge"), done.stderr


@pytest.mark.parametrize(
    ("script", "module", "extra"),
    [
        (
            "from yapo.evaluation.judges import get_judge; import yapo.config as c; get_judge(c.JudgeConfig('openai', 'm'))",
            "openai",
            "judge",
        ),
        ("from yapo.models.sae_release import releases; releases()", "sae_lens", "sae"),
    ],
)
def test_a_call_names_the_extra_that_it_needs(study: Path, script: str, module: str, extra: str) -> None:
    done = run(study, "-c", script)
    assert said(done, module, extra), done.stderr
