"""Stage ``features``: what the chosen vectors of one country do, in features of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from yapo.config import Config
from yapo.data.schema import read_table
from yapo.files import write_parquet, write_text
from yapo.models.language_model import load_language_model
from yapo.models.sae_release import listed, neuronpedia
from yapo.reporting.names import label
from yapo.stages.app import run
from yapo.stages.inputs import language_of, read_items, read_layer, read_sae
from yapo.stages.study import Study
from yapo.stages.study_methods import check_methods, methods_with_vectors
from yapo.stages.vectors import check_vectors
from yapo.steering.activations import ActivationStore
from yapo.steering.training.train_sets import TrainSet, train_sets
from yapo.steering.vector import SteeringVector
from yapo.studies.features.cards import Lens, Readings, beside, by_weight, cards, facts_of
from yapo.studies.features.examples import Seen, look
from yapo.studies.features.measures import Described, Texts, describe, effective_number
from yapo.studies.features.pages import VectorPage, file_name, folder_name, vector_page
from yapo.studies.features.table import NAME, TOP, page_notes

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
    """A country whose vectors are read and described on pages."""

    config: Config
    study: Study
    language: str
    country: str
    neuronpedia: str

    def vectors(self, task: str, setting: str) -> dict[str, SteeringVector]:
        """Read the chosen vector of each method whose edit does not depend on the prompt."""
        return {
            method: SteeringVector.load(self.study.vector(self.language, self.country, method, task, setting))
            for method in methods_with_vectors(self.config)
        }


def main(config: Config) -> None:
    """Writes ``studies/features.parquet``, ``studies/features_top.parquet`` and the pages of ``country``.

    ``features.parquet`` has a row per vector: its numbers, its mean change of the residual stream (``change``), and every feature
    with an effect (``features``, ``effects``, strongest first). ``features_top.parquet`` has a row per vector with a page and
    feature among its strongest: words, examples (``tokens_*``: vocabulary ids, ``topics_*``; before and during steering, and of
    the control feature), and the numbers of ``yapo.studies.features.examples.Seen``.
    """
    check_methods(config, "features")
    study, layer, wanted = Study.of(config), read_layer(config), config.studies.features
    tasks = wanted.tasks or config.tasks
    for task in tasks:
        check_vectors(config, task=task)
    for setting in wanted.settings:
        check_vectors(config, setting=setting)
    items = read_items(config, config.country)
    topics = items.drop_duplicates("question_id").set_index("question_id")["topic"]
    lm = load_language_model(config.model, first=layer + 1)  # of which the head alone is used
    sae = read_sae(config, layer, lm.d_model).to(lm.device)
    lens = Lens(lm, sae)
    page_id = neuronpedia(listed(config.sae, layer)) if config.sae.release else ""
    place = CountryPages(config, study, language_of(items), config.country, page_id)
    whose = {"language": items["language"].iloc[0], "country": config.country}
    vectors, tops = [], []
    for task in tasks:
        store, _ = ActivationStore.load(study.store(place.language, config.country, task))
        rows = read_table(study.pairs(place.language, config.country, task))
        rows = rows.assign(topic=rows["question_id"].map(topics))
        for part in train_sets(rows, config.settings):
            texts = Texts.of(store, part.validation, lm.device)
            found = {m: describe(v, sae, texts, wanted.top) for m, v in place.vectors(task, part.name).items()}
            here = {**whose, "task": task, "setting": part.name}
            vectors += [{**here, "method": m, **_vector_row(d, texts)} for m, d in found.items()]
            if part.name in wanted.settings:
                tops += [{**here, **row} for row in _look_closer(place, task, part, store, rows, found, lens)]
    write_parquet(study.of_study(NAME, place.language, config.country), pd.DataFrame(vectors))
    write_parquet(study.of_study(TOP, place.language, config.country), pd.DataFrame(tops))


def _vector_row(described: Described, texts: Texts) -> dict[str, Any]:
    effect, info = described.effect, described.vector.info
    order = effect.abs().argsort(descending=True, stable=True)[: int((effect != 0).sum())]
    return {
        "space": info.space,
        "multiplier": info.multiplier,
        "tokens": len(texts),
        "width": len(effect),
        "touched": int((described.vector.values != 0).sum()) if described.vector.space.of_features else len(order),
        "effective": effective_number(effect),
        "length": float(described.change.norm()),
        "change": described.change.cpu().numpy(),
        "features": order.int().numpy(),
        "effects": effect[order].numpy(),
    }


def _look_closer(
    place: CountryPages,
    task: str,
    part: TrainSet,
    store: ActivationStore,
    rows: pd.DataFrame,
    found: dict[str, Described],
    lens: Lens,
) -> list[dict[str, Any]]:
    """Write the pages of one task and setting; a row for every strongest feature of every method."""
    wanted = place.config.studies.features
    texts = Texts.of(store, [*part.train, *part.validation], lens.lm.device)
    readings = Readings(store, texts, rows["topic"].tolist())
    pair = texts.pair.numpy()
    fact, topic = (pd.factorize(rows[column])[0][pair] for column in ("question_id", "topic"))
    made = []
    for method, described in found.items():
        seen = look(described.vector, lens.sae, texts, described.top, fact, topic, wanted.examples, place.config.report.seed)
        others = {name: other for name, other in found.items() if name != method}
        words = lens.words(described.change[None])[0]
        text = vector_page(
            VectorPage(
                place.language,
                place.country,
                method,
                task,
                part.name,
                facts_of(described, len(part.validation)),
                words,
                cards(described, seen, lens, readings),
                by_weight(described, lens, readings, wanted.top),
                beside(described, others, wanted.top),
                _links(place, method, task, part.name, list(found)),
                page_notes(wanted.examples, place.config.report.note, place.neuronpedia),
                place.neuronpedia,
            )
        )
        write_text(_folder(place.study, place.language, place.country) / file_name(method, task, part.name), text)
        made += [{"method": method, "rank": rank, **_top_row(described, item, lens, readings)} for rank, item in enumerate(seen)]
    return made


def _top_row(described: Described, seen: Seen, lens: Lens, readings: Readings) -> dict[str, Any]:
    words = lens.of_features([seen.feature])[0]
    numbers = vars(seen)
    row = {name: numbers[name] for name in NUMBERS}
    row |= {
        "effect": float(described.effect[seen.feature]),
        "promoted": list(words.promoted),
        "suppressed": list(words.suppressed),
    }
    for name, tokens in (("before", seen.before), ("during", seen.during), ("control", seen.of_control)):
        row[f"tokens_{name}"] = readings.texts.ids[tokens].tolist()
        row[f"topics_{name}"] = [readings.topic(token) for token in tokens.tolist()]
    return row


def _folder(study: Study, language: str, country: str) -> Path:
    return study.root / NAME / folder_name(language, country)


def _links(place: CountryPages, method: str, task: str, setting: str, methods: list[str]) -> tuple[Any, ...]:
    """To the pages of other methods, tasks and settings."""
    wanted, config = place.config.studies.features, place.config

    def names(kind: str, own: str, keys: list[str]) -> tuple[tuple[str, str, bool], ...]:
        here = {"method": method, "task": task, "setting": setting}
        return tuple((file_name(**{**here, kind: key}), label(kind, key), key == own) for key in keys)

    groups = [("Method", names("method", method, methods))]
    if len(wanted.tasks or config.tasks) > 1:
        groups.append(("Task", names("task", task, wanted.tasks or config.tasks)))
    if len(wanted.settings) > 1:
        groups.append(("Setting", names("setting", setting, wanted.settings)))
    return tuple(groups)


if __name__ == "__main__":
    run(main)
