"""The record by which a study announces itself, ``STUDY`` of its package. Reading it imports no code that the study runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from yapo.checks import Setting, Task

if TYPE_CHECKING:
    from yapo.config import Config

Names = Sequence[str] | Callable[["Config"], Sequence[str]]
MethodKind = Literal["trained", "directions", "features"]
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Study:
    """A study around the tables.

    Its module ``run`` makes the rows of one country, ``report`` the files of all countries together. A ``rules.smk`` beside them
    takes the place of the rule that runs ``run``.

    Attributes:
        title: what it is about; messages and the report begin with it.
        files: what ``report`` writes beside the finding, relative to the study's folder.
        rows: what the jobs of a country write, by name: ``<country>/studies/<name>.parquet``.
        vectors: the chosen vectors of every method that a country's job takes, as (task, setting).
        takes: what else it takes of its country: ``pairs`` with their activations, the test answers (``evaluation``), what was
            measured on ``validation``.
        minutes: how long a country's job may take on a GPU.
        task_keys, setting_keys: settings that name tasks or settings of the experiment.
        method: the only method that it is about.
        kind: of methods that it can take, by what their vectors are: trained in steps, directions (no edit that reads the
            prompt), or directions in features. Without ``method_keys`` it takes those of the experiment, of which one must fit.
        method_keys: settings that name methods. They may name some that the experiment lacks.
        needs: settings that name a file of the user's, without which it cannot be made; ``all_studies`` leaves it out.
        regions: whether it needs data that tell the regions of a country apart; ``all_studies`` leaves it out.
        trains: whether it takes training or validation data of the experiment, which data for evaluation only do not have.
    """

    title: str
    files: Names
    rows: Names
    vectors: Callable[[Config], Sequence[tuple[Task, Setting]]] | None = None
    takes: tuple[Literal["pairs", "evaluation", "validation"], ...] = ()
    minutes: int = 480
    task_keys: tuple[str, ...] = ()
    setting_keys: tuple[str, ...] = ()
    method: str | None = None
    kind: MethodKind | None = None
    method_keys: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    regions: bool = False
    trains: bool = True

    def vector_keys(self, config: Config) -> Sequence[tuple[Task, Setting]]:
        """Return the task and setting of the vectors that a country's job takes, none where it takes none."""
        return () if self.vectors is None else self.vectors(config)

    def row_names(self, config: Config) -> Sequence[str]:
        """Return the names of its rows in an experiment."""
        return self.rows(config) if callable(self.rows) else self.rows

    def file_names(self, config: Config) -> Sequence[str]:
        """Return the files of its report in an experiment."""
        return self.files(config) if callable(self.files) else self.files


def get_study(name: str) -> Study:
    """Return the study of that name."""
    study: Study = import_module(f"yapo.studies.{name}").STUDY
    return study


def table_files(*names: str, kinds: Sequence[str] = ("csv", "md", "tex", "html")) -> list[str]:
    """Return the files of some tables."""
    return [f"tables/{name}.{kind}" for name in names for kind in kinds]


def figure_files(*names: str) -> list[str]:
    """Return the files of some figures."""
    return [f"figures/{name}.{kind}" for name in names for kind in ("svg", "png")]


def rows_by_method(name: str, config: Config) -> list[str]:
    """Return the rows of a study that trains, of each of its methods that the experiment has."""
    methods = getattr(config.studies, name).methods
    return [f"{name}_{method}" for method in methods if method in config.methods]
