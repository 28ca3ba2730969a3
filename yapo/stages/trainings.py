"""What the studies of training share: one country's pairs, trained from several seeds and measured on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from yapo.config import Config, TrainConfig
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.errors import YapoError
from yapo.evaluation.answers import Answerer
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.generate import Condition
from yapo.evaluation.judges import get_judge
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.stages.inputs import language_of, prompt_format, read_items, read_layer, read_sae
from yapo.stages.prepared import read_prepared
from yapo.stages.study import Study, studied
from yapo.stages.study_methods import check_methods
from yapo.steering.activations import ActivationStore, reencode
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.method import FitInputs
from yapo.steering.methods import get_method
from yapo.steering.objective import measure_pairs, preference_loss
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.train_sets import TrainSet, train_sets

ITEM = ["question_id", "variant", "phrasing"]


@dataclass(frozen=True)
class Bench:
    """One country and ``config.method``, ready to train.

    Attributes:
        path: where the study writes its rows; other files of the job stand beside it.
        items: the country's items with a column ``split``.
        sae: the autoencoder of the steered layer.
    """

    config: Config
    path: Path
    items: pd.DataFrame
    layer: int
    lm: LanguageModel
    sae: SAE
    answerer: Answerer

    @classmethod
    def open(cls, config: Config, name: str) -> Bench:
        """Load everything; ``name`` is the study's and the method's, as in ``studies/<name>.parquet``."""
        layer, items = read_layer(config), read_items(config, config.country)
        path = Study.of(config).of_study(name, language_of(items), config.country)
        lm = load_language_model(config.model)
        lm.check_layer(layer)
        sae = read_sae(config, layer, lm.d_model).to(lm.device)
        cache = CompletionCache(path.with_suffix(".completions.json"), lm, layer, config.model.batch_size)
        answerer = Answerer(prompt_format(config), config.generation, get_judge(config.judge), cache)
        return cls(config, path, items, layer, lm, sae, answerer)

    def cell(self, task: str, setting: str) -> Cell:
        """The pairs of one task and setting."""
        study, language = Study.of(self.config), language_of(self.items)
        pairs = read_prepared(study, language, self.config.country, task)
        (part,) = train_sets(pairs.rows, [setting])
        return Cell(self, task, setting, pairs.store, pairs.rows, part, self.sae)

    @property
    def space(self) -> str:
        """Of the method's vectors."""
        return get_method(self.config.method.name).space

    @property
    def place(self) -> dict[str, str]:
        """Columns that say whose rows these are."""
        return {
            "language": str(self.items["language"].iloc[0]),
            "country": self.config.country,
            "method": self.config.method.name,
        }


@dataclass(frozen=True)
class Cell:
    """The pairs of one task and setting: what vectors train on, and what measures them.

    Attributes:
        store: every pair of the country and task, with the codes of ``sae``.
        rows: describes pair i in row i.
        part: the pairs of the setting.
    """

    bench: Bench
    task: str
    setting: str
    store: ActivationStore
    rows: pd.DataFrame
    part: TrainSet
    sae: SAE

    def fit(
        self, train: TrainConfig, options: dict[str, Any], seeds: Sequence[int], checkpoint: Path
    ) -> tuple[dict[int, Tensor], pd.DataFrame]:
        """Train one vector per seed, all in the same forward passes.

        A seed decides the order of pairs and directions, and what else is drawn; it is the same order for every method.

        Returns:
            ``[epochs, width]`` by seed, and the logged rows with a column ``seed``.
        """
        bench, logged = self.bench, list[LogRow]()
        names = {f"seed {seed}": seed for seed in seeds}
        inputs = FitInputs(
            store=self.store,
            rows=self.rows,
            sets=[replace(self.part, name=name, seed=seed) for name, seed in names.items()],
            layer=bench.layer,
            sae=self.sae,
            language_model=lambda: bench.lm,
            train=train,
            options=options,
            log=logged.append,
            checkpoint=checkpoint,
        )
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        vectors = get_method(bench.config.method.name).fit(inputs)
        if not logged:
            raise YapoError(f"method={bench.config.method.name}: is not trained in steps; name only methods that are")
        rows = pd.DataFrame(logged)
        return {seed: vectors[name] for name, seed in names.items()}, rows.assign(seed=rows.pop("setting").map(names))

    def reencode(self, sae: SAE) -> Cell:
        """The same pairs with the codes of another autoencoder of the layer."""
        sae = sae.to(self.bench.lm.device)
        return replace(self, store=reencode(sae, self.store), sae=sae)

    def intervention(self, options: dict[str, Any]) -> Intervention:
        """How vectors trained with these options are applied."""
        if self.bench.space == "dense":
            return Dense(self.bench.lm.d_model)
        return Sparse(self.sae, str(options.get("threshold", "relu")))

    def pairs(self, intervention: Intervention, vector: Tensor, multiplier: float) -> pd.DataFrame:
        """Validation pairs steered by λ·v: ``ITEM``, ``loss`` (-log σ(dβm), d the sign of λ) and ``displacement``.

        β is the experiment's, whatever the vector was trained with, so that losses compare.
        """
        train, rows = self.bench.config.train, self.part.validation
        margins, moved = measure_pairs(
            self.bench.lm,
            self.bench.layer,
            intervention,
            self.store,
            rows,
            multiplier * vector,
            train.steer_bos,
            train.rows_per_pass,
        )
        loss = preference_loss(margins, torch.full_like(margins, 1.0 if multiplier > 0 else -1.0), train.beta)
        return self.rows.loc[rows, ITEM].assign(loss=loss.numpy(), displacement=moved.numpy()).reset_index(drop=True)

    def training_items(self, facts: int) -> pd.DataFrame:
        """One item of each of so many facts of the training pairs, drawn by ``train.seed``: the same for every method."""
        pairs = self.rows.loc[self.part.train, ITEM].sample(frac=1, random_state=self.bench.config.train.seed)
        return self.bench.items.merge(pairs.drop_duplicates("question_id").head(facts), on=ITEM)

    def answers(self, conditions: Sequence[Condition], items: pd.DataFrame | None = None) -> list[pd.DataFrame]:
        """Items, all of validation if none are given, answered under each condition: ``ITEM, score, parsed, exact``."""
        if items is None:
            items = self.bench.items[self.bench.items["split"] == "validation"]
            items = items if self.setting == "both" else items[items["variant"] == self.setting]
        columns = [*ITEM, "score", "parsed", "exact"]
        return [frame[columns] for frame in self.bench.answerer.ask(items, self.task, conditions)]


def read_trainings(config: Config, name: str, countries: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """What the jobs of a study wrote, of all its countries and of those of its methods that the experiment has.

    Raises:
        YapoError: the experiment has none of the countries or none of the methods.
    """
    check_methods(config, name)
    study = Study.of(config)
    chosen = studied(config, known_countries(config.data), countries)
    present = trained_methods(config, methods)
    for key, asked, found in (("countries", countries, chosen), ("methods", methods, present)):
        if not found:
            raise YapoError(f"studies.{name}.{key}={list(asked)}: none of them is in this experiment; name one that is")
    files = [study.of_study(f"{name}_{method}", language, c) for c, language in chosen.items() for method in present]
    return pd.concat([read_table(path) for path in files], ignore_index=True)


def trained_methods(config: Config, methods: Sequence[str]) -> list[str]:
    """Those of a study's methods that the experiment has."""
    return [method for method in methods if method in config.methods]
