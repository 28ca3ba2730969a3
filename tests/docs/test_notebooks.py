"""Notebooks of ``docs/``: kept without outputs, and run when the site is built."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .project import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs the extra 'docs'")
pytest.importorskip("nbclient", reason="needs the extra 'docs'")
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.id
        assert re.fullmatch(r"[a-z-]+", cell.id), "give each cell an id that says what it holds"
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}


def made(*sources: str) -> object:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def test_cells_run_in_the_notebooks_folder_by_this_python(hook: ModuleType, tmp_path: Path) -> None:
    notebook = made("import sys; from pathlib import Path; print(sys.executable)", "print(Path.cwd().name)")
    hook.execute(notebook, tmp_path / "n.ipynb")
    texts = [cell.outputs[0].text.strip() for cell in notebook.cells]  # type: ignore[attr-defined]
    assert Path(texts[0]).parent == Path(sys.executable).parent
    assert texts[1] == tmp_path.name
    assert list(tmp_path.iterdir()) == []


def test_a_cell_that_fails_stops_the_build(hook: ModuleType, tmp_path: Path) -> None:
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match=r"n\.ipynb: a cell failed, ValueError: no such thing\nraise"):
        hook.execute(made("x = 1", "raise ValueError('no such thing')"), tmp_path / "n.ipynb")
