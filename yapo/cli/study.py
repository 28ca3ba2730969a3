"""``yapo run`` and ``yapo ui``: the study's own programs, started from here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from yapo.errors import YapoError, require_extra

ANY = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run(context: typer.Context) -> None:
    """Run the study: everything behind the command goes to Snakemake as it stands.

    Example: yapo run --cores 2 all_tables
    """
    if context.args in (["--help"], ["-h"]):
        typer.echo(context.get_help())
        return
    require_extra("study", "snakemake", "hydra")
    if not Path("Snakefile").is_file():
        raise YapoError("Snakefile: no such file here; go to a clone of the project, where the study's rules are")
    _become("snakemake", *context.args)


def ui(results: Annotated[Path, typer.Option(help="Folder of a study.")] = Path("results/embedded")) -> None:
    """Open the study's pages in MLflow, also while it trains; they are served to this machine alone.

    Example: yapo ui --results results/embedded
    """
    require_extra("track", "mlflow")
    _become("yapo.tracking", "ui", "--results", str(results))


def _become(module: str, *arguments: str) -> None:
    """Go on as another Python program, which has this process's terminal, signals and exit status."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
