"""Stage ``transfer``: the test questions of one country under the vectors of every country."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from yapo.checks import Setting, Task, Variant
from yapo.config import VARIANTS, Config
from yapo.dag.scope import check_country, studied
from yapo.data.schema import read_table
from yapo.data.sources import known_countries
from yapo.data.text import text_key
from yapo.errors import YapoError
from yapo.evaluation.country import Candidate, Evaluator
from yapo.evaluation.decoding import Condition
from yapo.evaluation.exact import exact
from yapo.evaluation.judges import get_judge
from yapo.evaluation.scoring import Answerer
from yapo.evaluation.selection import Key
from yapo.files import write_parquet
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.inputs import prompt_format, read_items
from yapo.stages.vectors import VectorReader, check_vectors
from yapo.studies.checks import check_methods
from yapo.studies.country_job import CountryJob
from yapo.studies.transfer.left_out import read_left_out

READS = ("data.seed", "prompts", "model", "sae", "generation", "selection", "judge", "tasks", "methods", "studies.transfer")
NAME = "transfer"
ITEM = ["question_id", "variant", "phrasing"]
COLUMNS = [
    "language", "country", "source", "relation", "task", "setting", "method", *ITEM, "multiplier", "epoch",
    "score", "parsed", "exact", "change", "adopted", "adopted_before",
]  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/transfer.parquet`` for ``country``: one row per test item and condition.

    Epoch and λ were chosen on validation: of the vector's own country, or for a left-out vector of the other countries of the
    language. Columns beside the usual ones:
        source, relation: whose vector, and what that country is to this one; see ``Origin``. "prompt" is the prompt control.
        change: score minus the unsteered model's score on the same item.
        adopted: 1 if the answer is the source country's, 0 if not; NaN where the two countries' answers cannot be told apart,
            and for sources of another language.
        adopted_before: the same of the unsteered model's answer.
    """
    check_methods(config, "transfer")
    paths, transfer = Paths.of(config), config.studies.transfer
    known = known_countries(config.data)
    check_country(config.country, known)
    check_vectors(config, "studies.transfer.setting", setting=transfer.setting)
    countries, language_folder = studied(config, known, transfer.countries), known[config.country]
    job = CountryJob.open(config)
    cache, reader = job.cache(NAME), job.reader
    answerer = Answerer(prompt_format(config), config.generation, cache, get_judge(config.judge))
    items = job.questions("test", "both")
    siblings = {c: read_items(config, c) for c, spoken in countries.items() if spoken == language_folder and c != config.country}
    few = items["question_id"].isin(sampled_facts(items, transfer.cross_language_facts, config.data.seed))
    frames = []
    with cache:
        for task in config.tasks:
            left_out = _left_out(config, reader, answerer, siblings, language_folder, task) if siblings else []
            near = [Origin("baseline"), *left_out, *_sources(config, reader, countries, language_folder, task, near=True)]
            far = _sources(config, reader, countries, language_folder, task, near=False) if few.any() else []
            for variant in VARIANTS:
                side = items[items["variant"] == variant]
                answered = _answers(answerer, side, task, near)
                if far:
                    answered += _answers(answerer, side[few.loc[side.index]], task, far)
                answered.append(_prompt_control(paths, language_folder, config.country, task, transfer.setting, variant))
                frames.append(_compared(pd.concat(answered, ignore_index=True), siblings, side, task))
    rows = pd.concat(frames, ignore_index=True).assign(setting=transfer.setting, **job.labels)
    write_parquet(job.rows(NAME), rows[COLUMNS])


@dataclass(frozen=True)
class Origin:
    """Origin of a condition: whose vector, and what that country is to the one asked.

    ``relation`` is none (unsteered), own, same language, other languages, or left out (all of the language but the country).
    """

    method: str
    country: str = ""
    relation: str = "none"
    epoch: int = 0
    multiplier: float = 0.0
    condition: Condition = field(default_factory=Condition)


def sampled_facts(items: pd.DataFrame, number: int | None, seed: int) -> list[str]:
    """Draw some facts of the items, the same for every country that is asked the same ones; all if ``number`` is None."""
    facts = sorted(set(items["question_id"]))
    if number is None or number >= len(facts):
        return facts
    drawn = np.random.default_rng(seed).permutation(len(facts))[:number]
    return [facts[i] for i in sorted(drawn)]


def _sources(
    config: Config, reader: VectorReader, countries: dict[str, str], language_folder: str, task: Task, *, near: bool
) -> list[Origin]:
    """Return the chosen vectors of every country of this language, or of every other one."""
    found = []
    for country, spoken in countries.items():
        if (spoken == language_folder) == near:
            relation = "own" if country == config.country else "same language" if near else "other languages"
            for method in config.methods:
                vector = reader.read(spoken, country, method, task, config.studies.transfer.setting)
                found.append(Origin(method, country, relation, vector.epoch, vector.multiplier, vector.chosen))
    return found


def _left_out(
    config: Config, reader: VectorReader, answerer: Answerer, siblings: dict[str, pd.DataFrame], language_folder: str, task: Task
) -> list[Origin]:
    """Return vectors of this country's siblings together, at the epoch and λ that are best on the siblings' validation items."""
    setting = config.studies.transfer.setting
    candidates: dict[Key, Candidate] = {}
    for method in config.studies.transfer.left_out_methods:
        if method in config.methods:
            trained = read_left_out(reader.paths, language_folder, method, config.country, task)
            if trained.info.extra["pool"] != list(siblings):
                raise YapoError(
                    f"{method} without {config.country}: made of {', '.join(trained.info.extra['pool'])}, but this study has "
                    f"{', '.join(siblings)}; run `python -m yapo.studies.transfer.left_out` with the same settings"
                )
            intervention = reader.interventions.of(trained, f"{method} without {config.country}", "make it")
            candidates[method, task, setting] = Candidate(trained.epochs, intervention, trained.info.steer_bos)
    if not candidates:
        return []
    pool = pd.concat(siblings.values(), ignore_index=True)
    evaluator = Evaluator(
        reader.interventions.lm,
        reader.interventions.layer,
        pool,
        answerer.prompts,
        answerer.generation,
        answerer.judge,
        answerer.cache,
    )
    chosen, _ = evaluator.select(candidates, config.selection.multipliers, config.selection.max_kl)
    return [
        Origin(key[0], "", "left out", trial.epoch, trial.multiplier, candidates[key].condition(trial))
        for key, trial in chosen.items()
    ]


def _answers(answerer: Answerer, items: pd.DataFrame, task: Task, sources: Sequence[Origin]) -> list[pd.DataFrame]:
    """Answer the items under each source's vector."""
    frames = answerer.ask(items, task, [source.condition for source in sources])
    return [
        frame.assign(
            task=task,
            method=source.method,
            source=source.country,
            relation=source.relation,
            epoch=source.epoch,
            multiplier=source.multiplier,
        )
        for source, frame in zip(sources, frames, strict=True)
    ]


def _prompt_control(
    paths: Paths, language_folder: str, country: str, task: Task, setting: Setting, variant: Variant
) -> pd.DataFrame:
    """Return the answers to the prompt that names the country, from the stage evaluate."""
    rows = read_table(paths.evaluation(language_folder, country))
    wanted = (rows["method"] == "prompt") & (rows["task"] == task) & (rows["setting"] == setting) & (rows["variant"] == variant)
    return rows[wanted].assign(source="", relation="prompt", epoch=0, multiplier=0.0)


def _compared(rows: pd.DataFrame, siblings: dict[str, pd.DataFrame], items: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Add ``change``, ``adopted`` and ``adopted_before`` to the answers of one task and variant."""
    base = rows[rows["method"] == "baseline"].set_index(ITEM)[["score", "completion"]]
    item = pd.MultiIndex.from_frame(rows[ITEM])
    before = base.reindex(item)
    rows = rows.assign(change=rows["score"].to_numpy() - before["score"].to_numpy(), adopted=np.nan, adopted_before=np.nan)
    asked = items.set_index(ITEM)[["answer", "options", "answer_index"]].reindex(item).reset_index()
    for source, theirs in siblings.items():
        of_source = (rows["source"] == source).to_numpy()
        answers = answers_of(asked[of_source], theirs)
        rows.loc[of_source, "adopted"] = adopted(asked[of_source], rows.loc[of_source, "completion"].tolist(), task, answers)
        rows.loc[of_source, "adopted_before"] = adopted(
            asked[of_source], before.loc[of_source, "completion"].tolist(), task, answers
        )
    return rows


def answers_of(items: pd.DataFrame, other: pd.DataFrame) -> list[str | None]:
    """Return another country's answer to each item, or None where it is not asked the same.

    Args:
        items: the items that were answered.
        other: items of the other country, in the same language.
    """
    known = other.set_index(ITEM)["answer"]
    return [known.get(key) for key in items[ITEM].itertuples(index=False, name=None)]


def adopted(items: pd.DataFrame, completions: Sequence[str], task: Task, answers: Sequence[str | None]) -> list[float]:
    """Return 1 where a completion is the other country's answer and 0 where not, as ``yapo.evaluation.exact`` compares.

    NaN where that says nothing: the other country has no answer or the same one, or its answer is no option of the item.

    Args:
        items: the items that were answered.
        completions: one for each.
        task: mcq or open_ended.
        answers: what ``answers_of`` returned.
    """
    rivals: list[str | None] = []
    places: list[int] = []
    for text, gold, options in zip(answers, items["answer"], items["options"], strict=True):
        place = -1 if text is None else _place(text, options)
        distinct = text is not None and text_key(text) != text_key(gold)
        rivals.append(text if distinct and (task != "mcq" or place >= 0) else None)
        places.append(place)
    asked = items.assign(answer=[text or "" for text in rivals], answer_index=places)
    hits = exact(asked, completions, task)
    return [np.nan if text is None else float(hit) for text, hit in zip(rivals, hits, strict=True)]


def _place(text: str, options: Sequence[str]) -> int:
    """Return the place of the option that says the same, or -1."""
    return next((i for i, option in enumerate(options) if text_key(option) == text_key(text)), -1)


if __name__ == "__main__":
    run(main)
