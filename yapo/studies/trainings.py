"""One country's pairs, trained from several seeds and measured on validation; for the studies of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from yapo.checks import Setting, Task
from yapo.config import Config, MethodConfig, TrainConfig
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import get_judge
from yapo.evaluation.scoring import Answerer
from yapo.models.sae import SAE
from yapo.paths import Paths
from yapo.stages.inputs import prompt_format, read_sae
from yapo.stages.pairs import PreparedPairs, fit_inputs, models_of, read_prepared
from yapo.steering.activations import reencode
from yapo.steering.interventions import Intervention
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.objective import measure_pairs, preference_loss
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet, train_sets
from yapo.steering.vector import TrainedVector
from yapo.studies.country_job import CountryJob

ITEM = ["question_id", "variant", "phrasing"]


@dataclass(frozen=True)
class TrainingSetup(CountryJob):
    """One country and ``config.method``, ready to train.

    Attributes:
        path: where the study writes its rows; other files of the job stand beside it.
        sae: the autoencoder of the steered layer.
    """

    path: Path
    sae: SAE
    answerer: Answerer

    @classmethod
    def of_method(cls, config: Config, name: str) -> TrainingSetup:
        """Load everything; ``name`` is the study's and the method's, as in ``studies/<name>.parquet``."""
        job = CountryJob.open(config)
        job.lm.check_layer(job.layer)
        sae = read_sae(config, job.layer, job.lm.d_model).to(job.lm.device)
        answerer = Answerer(prompt_format(config), config.generation, job.cache(name), get_judge(config.judge))
        return cls(**vars(job), path=job.rows(name), sae=sae, answerer=answerer)

    def training(self, task: Task, setting: Setting) -> Training:
        """Read the pairs of one task and setting."""
        pairs = read_prepared(Paths.of(self.config), self.language_folder, self.config.country, task)
        (part,) = train_sets(pairs.rows, [setting])
        return Training(self, task, setting, pairs, part, self.sae)


@dataclass(frozen=True)
class Training:
    """The pairs of one task and setting: what vectors train on, and what measures them.

    Attributes:
        prepared: every pair of the country and task, with the codes of ``sae``.
        part: the pairs of the setting.
    """

    setup: TrainingSetup
    task: Task
    setting: Setting
    prepared: PreparedPairs
    part: TrainSet
    sae: SAE

    def inputs(
        self,
        sets: list[TrainSet],
        method: MethodConfig,
        train: TrainConfig,
        log: Callable[[LogRow], None],
        checkpoint: Path,
    ) -> FitInputs:
        """Return what a method learns from in these sets."""
        setup, extra = self.setup, {"country": self.setup.config.country, "task": self.task}
        models = models_of(setup.config, setup.lm)
        args = (self.prepared, sets, setup.layer, self.sae, models, method, train, setup.config.prompts, log, checkpoint, extra)
        return fit_inputs(*args)

    def fit(
        self, train: TrainConfig, options: dict[str, Any], seeds: Sequence[int], checkpoint: Path
    ) -> tuple[dict[int, TrainedVector], pd.DataFrame]:
        """Train one vector per seed, all in the same forward passes.

        A seed decides the order of pairs and directions, and what else is drawn; it is the same order for every method.

        Returns:
            The vectors by seed, and the logged rows with a column ``seed``.
        """
        method, logged = MethodConfig(self.setup.config.method.name, options), list[LogRow]()
        names = {f"seed {seed}": seed for seed in seeds}
        sets = [replace(self.part, name=name, seed=seed) for name, seed in names.items()]
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        vectors = get_method(method.name).fit(self.inputs(sets, method, train, logged.append, checkpoint))
        if not logged:
            raise YapoError(f"method={method.name}: is not trained in steps; name only methods that are")
        rows = pd.DataFrame(logged)
        return {seed: vectors[name] for name, seed in names.items()}, rows.assign(seed=rows.pop("setting").map(names))

    def reencode(self, sae: SAE) -> Training:
        """Return the same pairs with the codes of another autoencoder of the layer."""
        sae = sae.to(self.setup.lm.device)
        return replace(self, prepared=replace(self.prepared, store=reencode(sae, self.prepared.store)), sae=sae)

    def intervention(self, vectors: Mapping[int, TrainedVector]) -> Intervention:
        """Return how the vectors that ``fit`` returned are applied."""
        return next(iter(vectors.values())).intervention(self.setup.lm.d_model, lambda _: self.sae)

    def measure(self, intervention: Intervention, vector: Tensor, multiplier: float) -> pd.DataFrame:
        """Measure validation pairs steered by λ·v: ``ITEM``, ``loss`` (-log σ(dβm), d the sign of λ) and ``displacement``.

        β is the experiment's, whatever the vector was trained with, so that losses compare.
        """
        train, rows = self.setup.config.train, self.part.validation
        margins, moved = measure_pairs(
            self.setup.lm,
            self.setup.layer,
            intervention,
            self.prepared.store,
            rows,
            multiplier * vector,
            train.steer_bos,
            train.rows_per_pass,
        )
        loss = preference_loss(margins, torch.full_like(margins, 1.0 if multiplier > 0 else -1.0), train.beta)
        return self.prepared.rows.loc[rows, ITEM].assign(loss=loss.numpy(), displacement=moved.numpy()).reset_index(drop=True)

    def training_items(self, facts: int) -> pd.DataFrame:
        """Draw one item of each of so many facts of the training pairs, drawn by ``train.seed``: the same for every method."""
        pairs = self.prepared.rows.loc[self.part.train, ITEM].sample(frac=1, random_state=self.setup.config.train.seed)
        return self.setup.items.merge(pairs.drop_duplicates("question_id").head(facts), on=ITEM)

    def answers(self, conditions: Sequence[Condition], items: pd.DataFrame | None = None) -> list[pd.DataFrame]:
        """Answer items, all of validation if none are given, under each condition: ``ITEM, score, parsed, exact``."""
        if items is None:
            items = self.setup.questions("validation", self.setting)
        columns = [*ITEM, "score", "parsed", "exact"]
        return [frame[columns] for frame in self.setup.answerer.ask(items, self.task, conditions)]
