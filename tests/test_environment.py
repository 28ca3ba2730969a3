"""One set of pins: conda users get what pip users get."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_the_pins_are_the_same() -> None:
    (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert [line for line in pip if line.startswith("-")] == ["--editable ."]
    ours = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert sorted(line for line in pip if not line.startswith("-")) == sorted(ours)


def test_every_dependency_is_pinned_once() -> None:
    requirements = [Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]]
    assert len({requirement.name for requirement in requirements}) == len(requirements)
    for requirement in requirements:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement


def test_the_python_of_conda_is_allowed() -> None:
    (python,) = (entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str) and entry.startswith("python="))
    assert Version(python.partition("=")[2]) in SpecifierSet(PROJECT["requires-python"])


def test_a_script_beside_a_clone_named_yapo_imports_the_package(tmp_path: Path) -> None:
    """A folder without ``__init__.py`` is a namespace package to Python, unless the real one stands later on its path."""
    (tmp_path / "yapo").symlink_to(ROOT)
    script = tmp_path / "script.py"
    script.write_text("import yapo\nprint(yapo.__file__, yapo.load_vector.__name__)\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(ROOT / "yapo" / "__init__.py"), "load_vector"], f"run make again: {done.stderr}"
