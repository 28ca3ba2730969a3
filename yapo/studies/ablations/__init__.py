"""One change at a time from the experiment's training."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from yapo.checks import Setting, Task, check_training, require
from yapo.errors import unknown
from yapo.studies.base import Study, figure_files, rows_by_method, table_files


@dataclass
class AblationsConfig:
    """One change at a time from the experiment's setting.

    ``variants`` names the changes: each is a few settings of ``train``, ``method.options`` or ``sae.train`` with their values;
    one set to null is left out. A method takes those whose settings it has. One with settings of ``sae.train`` trains an
    autoencoder of its own.
    """

    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["bipo", "yapo"])  # the experiment may lack some
    tasks: list[Task] = field(default_factory=lambda: ["open_ended"])
    setting: Setting = "nonlocalized"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    variants: dict[str, Any] = field(
        default_factory=lambda: {
            "one_directional": {"train.directions": "positive"},
            "jumprelu": {"method.options.threshold": "jumprelu"},
            "all_features": {"method.options.features": "all"},
            "start_random": {"method.options.init": "random"},
            "start_random_all_features": {"method.options.init": "random", "method.options.features": "all"},
            "start_mean_difference": {"method.options.init": "mean_difference"},
            "beta_0.05": {"train.beta": 0.05},
            "beta_0.2": {"train.beta": 0.2},
            "beta_0.5": {"train.beta": 0.5},
            "facts_25": {"train.share": 0.25, "train.epochs": 80},  # as many steps as the default
            "facts_50": {"train.share": 0.5, "train.epochs": 40},
            "width_256": {"sae.train.width": 256},
            "width_1024": {"sae.train.width": 1024},
            "width_4096": {"sae.train.width": 4096},
        }
    )

    def __post_init__(self) -> None:
        key = "studies.ablations"
        check_training(key, self.methods, self.tasks, self.seeds)
        known = _training_settings()
        for name, changes in self.variants.items():
            place = f"{key}.variants.{name}"
            require(re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) is not None, place, changes, "a name of letters, digits, _ . and -")
            require(name != "default", place, changes, "is what the others are compared with; choose another name")
            if changes is None:
                continue
            require(isinstance(changes, dict) and bool(changes), place, changes, "give settings and values, as train.beta: 0.5")
            for setting in changes:
                if setting not in known and not setting.startswith("method.options."):
                    raise unknown("setting of a variant", place, setting, [*known, "method.options.<name>"])

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The variants that are not left out."""
        return {name: changes for name, changes in self.variants.items() if changes is not None}

    @property
    def own_autoencoders(self) -> list[str]:
        """The variants that train an autoencoder."""
        return [name for name, changes in self.changes.items() if any(key.startswith("sae.train.") for key in changes)]


def _training_settings() -> list[str]:
    from yapo.config import SaeTrainConfig, TrainConfig  # here, since these settings are part of yapo.config

    groups = {"train": TrainConfig, "sae.train": SaeTrainConfig}
    return [f"{group}.{part.name}" for group, kind in groups.items() for part in fields(kind)]


STUDY = Study(
    title="Ablations",
    files=[*table_files("ablations"), *figure_files("ablations")],
    rows=partial(rows_by_method, "ablations"),
    task_keys=("studies.ablations.tasks",),
    kind="trained",
    method_keys=("studies.ablations.methods",),
)
