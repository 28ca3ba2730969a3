"""First step: what a generator answers to every seed question, for each country and the Western control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from yapo.curation.form import Answers, read_answers
from yapo.curation.generators import Generator, Reply, by_language
from yapo.curation.places import Language
from yapo.curation.seeds import SeedQuestion
from yapo.curation.steps import Drop, Outcome, dropped_table, part
from yapo.data.atlas import WESTERN
from yapo.data.text import shown

COLUMNS = ["question_id", "language", "topic", "category", "country", "text", "nonlocalized", "answer", "control"]


class Collected(NamedTuple):
    """Candidates of the first step, and the replies that they come from (columns of a recording)."""

    outcome: Outcome
    replies: list[dict[str, Any]]


def collect_answers(questions: Sequence[SeedQuestion], languages: Mapping[str, Language], generator: Generator) -> Collected:
    """Ask all questions, language by language.

    Candidates whose country a reply does not answer are dropped; an answer that is null, or blank, is an empty text. A country
    that was not asked for is listed among the dropped ones.

    Raises:
        YapoError: see ``Generator.ask``.
    """
    candidates: list[dict[str, Any]] = []
    drops: list[Drop | None] = []
    invented: list[dict[str, Any]] = []
    replies: list[dict[str, Any]] = []
    for name, asked in by_language(questions).items():
        language = languages[name]
        for question, reply in zip(asked, generator.ask(language, asked), strict=True):
            replies.append(_recorded(question, reply))
            answers = read_answers(reply.text)
            facts = {column: value for column, value in vars(question).items() if column in COLUMNS}
            for country in question.countries:
                found = answers or {}
                texts = {"answer": _one_line(found.get(country)), "control": _one_line(found.get(WESTERN))}
                candidates.append({**facts, "country": country, **texts})
                drops.append(_fault(reply, answers, country))
            invented += [
                {
                    "step": "answers",
                    **facts,
                    "country": shown(key, bare=True),
                    "reason": "invented_country",
                    "detail": _one_line(answer),
                }
                for key, answer in (answers or {}).items()
                if key != WESTERN and key not in language.countries
            ]
    outcome = part("answers", pd.DataFrame(candidates, columns=COLUMNS), drops)
    dropped = pd.concat([outcome.dropped, dropped_table(invented)], ignore_index=True)
    return Collected(Outcome(outcome.kept, dropped), replies)


def _fault(reply: Reply, answers: Answers | None, country: str) -> Drop | None:
    if answers is None:
        return Drop("unreadable_reply", shown(reply.text, bare=True))
    if country not in answers:
        return Drop("missing_country", ", ".join(answers))
    return None


def _one_line(answer: str | None) -> str:
    """Return an answer with single spaces, as it stands among options; empty where it is null."""
    return " ".join((answer or "").split())


def _recorded(question: SeedQuestion, reply: Reply) -> dict[str, Any]:
    return {
        "language": question.language,
        "text": question.text,
        "reply": reply.text,
        "tokens_input": reply.tokens_input,
        "tokens_output": reply.tokens_output,
    }
