"""A hook of MkDocs: the notebooks of docs/ are run and become pages with their output. A cell that fails stops the build."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client import AsyncKernelManager
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import MarkdownExporter

SECONDS = 600  # longest cell


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page and its figures for each notebook; ``extra.run_notebooks`` says whether they are run."""
    for path in sorted(Path(config.docs_dir).glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if config.extra["run_notebooks"]:
            execute(notebook, path)
        exporter = MarkdownExporter()
        text, made = exporter.from_notebook_node(notebook, {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"})
        files.append(File.generated(config, f"{path.stem}.md", content=text))
        for name, content in made["outputs"].items():
            files.append(File.generated(config, name, content=content))
    return files


def execute(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Run the cells of a notebook in its folder, as Jupyter does; a cell that fails is named in the error."""
    with TemporaryDirectory() as folder:  # of the kernel's sockets; by default it listens on ports
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/kernel")
        place = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, kernel, timeout=SECONDS, coalesce_streams=True, resources=place)
        try:
            client.execute()
        except CellExecutionError as error:
            failed = next(
                cell.source for cell in notebook.cells if any(out.output_type == "error" for out in cell.get("outputs", []))
            )
            raise PluginError(f"{path.name}: a cell failed, {error.ename}: {error.evalue}\n{failed}") from None
