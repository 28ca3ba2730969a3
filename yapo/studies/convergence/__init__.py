"""Loss and accuracy over training steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from yapo.checks import Setting, Task, check_training, require
from yapo.studies.base import Study, figure_files, rows_by_method, table_files


@dataclass
class ConvergenceConfig:
    """Loss and accuracy over training steps, from several seeds; every method trains at every learning rate."""

    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["bipo", "yapo"])  # the experiment may lack some
    tasks: list[Task] = field(default_factory=lambda: ["open_ended"])
    setting: Setting = "nonlocalized"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    learning_rates: list[float] = field(default_factory=lambda: [5e-4])
    epochs: int = 20
    answered_epochs: int = 6  # number of epochs whose vectors answer the validation questions
    train_facts: int = 16  # training facts, one phrasing of each, that they answer too; 0: none
    losses: list[float] = field(default_factory=lambda: [0.5, 0.3, 0.1])  # training losses whose steps are counted
    window: int = 20  # training losses are means over this many steps

    def __post_init__(self) -> None:
        key = "studies.convergence"
        check_training(key, self.methods, self.tasks, self.seeds)
        rates = self.learning_rates
        require(bool(rates) and min(rates) > 0, f"{key}.learning_rates", rates, "give at least one, all above 0")
        require(bool(self.losses) and min(self.losses) > 0, f"{key}.losses", self.losses, "give at least one, all above 0")
        for name, count in (("epochs", self.epochs), ("answered_epochs", self.answered_epochs), ("window", self.window)):
            require(count > 0, f"{key}.{name}", count, "at least 1")
        require(self.train_facts >= 0, f"{key}.train_facts", self.train_facts, "0 (none) or more")


STUDY = Study(
    title="Convergence",
    files=[*table_files("convergence"), *figure_files("convergence")],
    rows=partial(rows_by_method, "convergence"),
    task_keys=("studies.convergence.tasks",),
    kind="trained",
    method_keys=("studies.convergence.methods",),
)
