"""Stage ``features``: the effects of one country's chosen vectors on features of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from yapo.checks import Setting, Task
from yapo.config import Config
from yapo.data.schema import read_table
from yapo.evaluation.selection import Key
from yapo.files import write_parquet, write_text
from yapo.models.language_model import load_language_model
from yapo.models.sae_release import listed, neuronpedia
from yapo.paths import Paths
from yapo.reporting.names import label
from yapo.stages.app import run
from yapo.stages.inputs import language_folder_of, read_items, read_layer, read_sae
from yapo.stages.vectors import check_vectors
from yapo.steering.activations import ActivationStore
from yapo.steering.training.train_sets import train_sets
from yapo.steering.vector import SteeringVector
from yapo.studies.checks import check_methods, of_kind
from yapo.studies.features.effects import Texts, VectorEffects, effective_number, measure_effects
from yapo.studies.features.examples import FeatureExamples, find_examples
from yapo.studies.features.page_contents import LogitLens, SourceTexts, by_weight, compare_methods, feature_cards, head_facts
from yapo.studies.features.pages import VectorPage, file_name, folder_name, page_notes, vector_page
from yapo.studies.features.table import NAME, TOP

READS = (
    "model",
    "sae",
    "tasks",
    "settings",
    "methods",
    "report.seed",
    "report.note",
    "studies.features.tasks",
    "studies.features.settings",
    "studies.features.top",
    "studies.features.examples",
)

NUMBERS = (
    "feature", "control", "fires", "fires_during", "activation",
    "kept_tokens", "kept_topics", "kept_mass", "control_tokens", "control_topics", "control_mass",
)  # fmt: skip


@dataclass(frozen=True)
class CountryPages:
    """The pages of one country's vectors, and what they are made from."""

    config: Config
    paths: Paths
    language_folder: str
    country: str
    neuronpedia: str
    lens: LogitLens

    def vectors(self, task: Task, setting: Setting) -> dict[str, SteeringVector]:
        """Return the chosen vector of each method whose edit does not depend on the prompt."""
        return {
            method: SteeringVector.load(self.paths.vector(self.language_folder, self.country, method, task, setting))
            for method in of_kind("directions", self.config.methods)
        }

    def write(
        self, task: Task, setting: Setting, found: dict[str, VectorEffects], sources: SourceTexts, fits: pd.DataFrame, texts: int
    ) -> list[dict[str, Any]]:
        """Write the pages of one task and setting.

        Args:
            task, setting: of the vectors.
            found: the effects of each method's vector.
            sources: the texts that examples are taken from.
            fits: the preference pairs, with ``question_id`` and ``topic``.
            texts: how many texts effects were measured on.

        Returns:
            A row for every strongest feature of every method.
        """
        wanted, note, rows = self.config.studies.features, self.config.report.note, []
        pair = sources.texts.pair.numpy()
        fact, topic = (pd.factorize(fits[column])[0][pair] for column in ("question_id", "topic"))
        for method, measured in found.items():
            examples = find_examples(
                measured.vector, self.lens.sae, sources.texts, measured.top, fact, topic, wanted.examples, self.config.report.seed
            )
            page = VectorPage(
                self.language_folder,
                self.country,
                method,
                task,
                setting,
                head_facts(measured, texts),
                self.lens.words(measured.change[None])[0],
                feature_cards(measured, examples, self.lens, sources),
                by_weight(measured, self.lens, sources, wanted.top),
                compare_methods(measured, {name: other for name, other in found.items() if name != method}, wanted.top),
                self._links(method, task, setting, list(found)),
                page_notes(wanted.examples, note, self.neuronpedia),
                self.neuronpedia,
            )
            folder = self.paths.root / NAME / folder_name(self.language_folder, self.country)
            write_text(folder / file_name(method, task, setting), vector_page(page))
            rows += [
                {"method": method, "rank": rank, **_top_row(measured, item, self.lens, sources)}
                for rank, item in enumerate(examples)
            ]
        return rows

    def _links(self, method: str, task: Task, setting: Setting, methods: list[str]) -> tuple[Any, ...]:
        """Return links to the pages of other methods, tasks and settings."""
        here, wanted = (method, task, setting), self.config.studies.features
        pages: dict[str, list[tuple[str, Key]]] = {
            "method": [(name, (name, task, setting)) for name in methods],
            "task": [(name, (method, name, setting)) for name in wanted.tasks or self.config.tasks],
            "setting": [(name, (method, task, name)) for name in wanted.settings],
        }
        return tuple(
            (kind.capitalize(), tuple((file_name(*key), label(kind, name), key == here) for name, key in found))
            for kind, found in pages.items()
            if kind == "method" or len(found) > 1
        )


def main(config: Config) -> None:
    """Write ``studies/features.parquet``, ``studies/features_top.parquet`` and the pages of ``country``.

    ``features.parquet`` has a row per vector: its numbers, its mean change of the residual stream (``change``), and every feature
    with an effect (``features``, ``effects``, strongest first). ``features_top.parquet`` has a row per vector with a page and
    feature among its strongest: words, examples (``tokens_*``: vocabulary ids, ``topics_*``; before and during steering, and of
    the control feature), and the numbers of ``yapo.studies.features.examples.FeatureExamples``.
    """
    check_methods(config, "features")
    paths, layer, wanted = Paths.of(config), read_layer(config), config.studies.features
    tasks = wanted.tasks or config.tasks
    for task in tasks:
        check_vectors(config, task=task)
    for setting in wanted.settings:
        check_vectors(config, setting=setting)
    items = read_items(config, config.country)
    topics = items.drop_duplicates("question_id").set_index("question_id")["topic"]
    lm = load_language_model(config.model, first=layer + 1)  # of which the head alone is used
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    page_id = neuronpedia(listed(config.sae, layer)) if config.sae.release else ""
    language_folder = language_folder_of(items)
    pages = CountryPages(config, paths, language_folder, config.country, page_id, LogitLens(lm, sae))
    vectors, tops = [], []
    for task in tasks:
        store, _ = ActivationStore.load(paths.store(language_folder, config.country, task))
        rows = read_table(paths.pairs(language_folder, config.country, task))
        rows = rows.assign(topic=rows["question_id"].map(topics))
        for setting, part in zip(config.settings, train_sets(rows, config.settings), strict=True):
            texts = Texts.of(store, part.validation, lm.device)
            found = {m: measure_effects(v, sae, texts, wanted.top) for m, v in pages.vectors(task, setting).items()}
            here = {"language": items["language"].iloc[0], "country": config.country, "task": task, "setting": setting}
            vectors += [{**here, "method": m, **_vector_row(measured, texts)} for m, measured in found.items()]
            if setting in wanted.settings:
                read = Texts.of(store, [*part.train, *part.validation], lm.device)
                sources = SourceTexts(store, read, rows["topic"].tolist())
                top_rows = pages.write(task, setting, found, sources, rows, len(part.validation))
                tops += [{**here, **row} for row in top_rows]
    write_parquet(paths.study_rows(NAME, language_folder, config.country), pd.DataFrame(vectors))
    write_parquet(paths.study_rows(TOP, language_folder, config.country), pd.DataFrame(tops))


def _vector_row(measured: VectorEffects, texts: Texts) -> dict[str, Any]:
    effect, info = measured.effect, measured.vector.info
    order = effect.abs().argsort(descending=True, stable=True)[: int((effect != 0).sum())]
    return {
        "space": info.space,
        "multiplier": info.multiplier,
        "tokens": len(texts),
        "width": len(effect),
        "touched": int((measured.vector.values != 0).sum()) if measured.vector.space.of_features else len(order),
        "effective": effective_number(effect),
        "length": float(measured.change.norm()),
        "change": measured.change.cpu().numpy(),
        "features": order.int().numpy(),
        "effects": effect[order].numpy(),
    }


def _top_row(measured: VectorEffects, found: FeatureExamples, lens: LogitLens, sources: SourceTexts) -> dict[str, Any]:
    words = lens.of_features([found.feature])[0]
    row = {name: getattr(found, name) for name in NUMBERS}
    row |= {
        "effect": float(measured.effect[found.feature]),
        "promoted": list(words.promoted),
        "suppressed": list(words.suppressed),
    }
    for name, tokens in (("before", found.before), ("during", found.during), ("control", found.of_control)):
        row[f"tokens_{name}"] = sources.texts.ids[tokens].tolist()
        row[f"topics_{name}"] = [sources.topic(token) for token in tokens.tolist()]
    return row


if __name__ == "__main__":
    run(main)
