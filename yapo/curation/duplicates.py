"""Fourth step: near-duplicates among the options of a question, and among the questions of a language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Literal, NamedTuple

import pandas as pd

from yapo.curation.choices import drop_and_offer_again
from yapo.curation.embeddings import Embedder, nearest_earlier, similarities
from yapo.curation.steps import CANDIDATE, FACT, Drop, Outcome
from yapo.curation.variants import without_slot
from yapo.data.atlas import WESTERN

Kind = Literal["options", "questions"]
Decision = Literal["drop", "keep"]
CHUNK = 4096  # pairs of options that are compared at once


class Pair(NamedTuple):
    """Two texts that may say the same.

    Of ``options``: two answers to one question, of countries or the control. Of ``questions``: two questions of one language.
    """

    kind: Kind
    language: str
    question_1: str
    country_1: str
    question_2: str
    country_2: str
    text_1: str
    text_2: str
    similarity: float = 0.0

    @property
    def key(self) -> tuple[str, ...]:
        """Kind, language, questions and countries: no two pairs share all of them."""
        return self[:6]


def near_pairs(candidates: pd.DataFrame, embedder: Embedder, least: float) -> list[Pair]:
    """Return the pairs with at least a cosine similarity, options first, in the order of the candidates.

    Options are compared with all others of their question, and each question with the earlier one that is most like it.

    Args:
        candidates: of the step ``choices``.
        embedder: compares texts.
        least: cosine similarity, above 0.
    """
    return [*_option_pairs(candidates, embedder, least), *_question_pairs(candidates, embedder, least)]


def decide(pairs: list[Pair], threshold: float, reviewed: Mapping[tuple[str, ...], Decision]) -> dict[Pair, Decision]:
    """Return what becomes of each pair: what the review says, otherwise ``drop`` from the threshold on."""
    return {pair: reviewed.get(pair.key, "drop" if pair.similarity >= threshold else "keep") for pair in pairs}


def drop_near_duplicates(candidates: pd.DataFrame, decisions: Mapping[Pair, Decision], min_options: int, seed: int) -> Outcome:
    """Drop what the decisions say, and offer what is left.

    Of two options that say the same both go, as equal ones do, and of one like the control the country's. Of two questions the
    later one goes, for all its countries, also where the earlier one goes too.
    """
    options: dict[tuple[str, ...], Drop] = {}
    questions: dict[tuple[str, ...], Drop] = {}
    for pair, decision in decisions.items():
        if decision == "keep":
            continue
        detail = f"{pair.text_1} ~ {pair.text_2} ({pair.similarity:.2f})"
        if pair.kind == "options":
            for country in (pair.country_1, pair.country_2):
                options.setdefault((pair.language, pair.question_1, country), Drop("near_duplicate_option", detail))
        else:
            questions.setdefault((pair.language, pair.question_2), Drop("near_duplicate_question", detail))
    faults = [
        questions.get((language, question)) or options.get((language, question, country))
        for language, question, country in candidates[CANDIDATE].itertuples(index=False, name=None)
    ]
    return drop_and_offer_again("duplicates", candidates, faults, min_options, seed)


def _option_pairs(candidates: pd.DataFrame, embedder: Embedder, least: float) -> Iterator[Pair]:
    waiting: list[Pair] = []
    for (language, question), rows in candidates.groupby(FACT, sort=False):
        options = [*zip(rows["country"], rows["answer"], strict=True), (WESTERN, rows["control"].iloc[0])]
        name, fact = str(language), str(question)
        for (country, text), (other, compared) in combinations(options, 2):
            waiting.append(Pair("options", name, fact, country, fact, other, text, compared))
        if len(waiting) >= CHUNK:
            yield from _near(waiting, embedder, least)
            waiting = []
    yield from _near(waiting, embedder, least)


def _near(pairs: list[Pair], embedder: Embedder, least: float) -> Iterator[Pair]:
    """Yield the pairs that are alike, with their similarity."""
    if pairs:
        first, second = (embedder.embed(texts) for texts in zip(*((pair.text_1, pair.text_2) for pair in pairs), strict=True))
        for pair, value in zip(pairs, similarities(first, second).tolist(), strict=True):
            if value >= least:
                yield pair._replace(similarity=round(value, 4))


def _question_pairs(candidates: pd.DataFrame, embedder: Embedder, least: float) -> Iterator[Pair]:
    for language, rows in candidates.drop_duplicates(FACT).groupby("language", sort=False):
        names, texts = rows["question_id"].tolist(), [without_slot(text) for text in rows["text"]]
        for i, j, value in nearest_earlier(embedder.embed(texts), least):
            yield Pair("questions", str(language), names[i], "", names[j], "", texts[i], texts[j], round(value, 4))
