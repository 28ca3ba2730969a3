"""Seed questions about facts of the atlas, and a recorded session of a generator that answers them and makes mistakes.

``python -m world.build.curation_session [--out world/curation]`` writes ``seeds.csv`` and ``session.jsonl``. There is no model in
it: the answers are the atlas's, but for ``FAULTS``, which are mistakes that generators make. The same atlas gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yapo.curation.seeds import SLOT
from yapo.data.atlas import WESTERN, Fact, Language, load_atlas
from yapo.files import write_text

FOLDER = Path(__file__).resolve().parents[1] / "curation"
LANGUAGES = ("arabic", "english", "hindi")
FACTS = 32  # of each language: the first fact of a topic each
COLUMNS = ("id", "language", "topic", "text")
# Where the slot stands: before the question, as people say it in the language.
OPENINGS = {"Arabic": f"{SLOT}، ", "English": f"{SLOT}, ", "Hindi": f"{SLOT} "}

Kind = Literal[
    "refusal",
    "wrong_script",
    "wrong_language",
    "repetition",
    "repeated_answer",
    "no_answer",
    "same_as_control",
    "equal_options",
    "near_duplicate_option",
    "answer_names_country",
    "missing_country",
    "invented_country",
    "no_control",
    "unreadable_reply",
]


@dataclass(frozen=True)
class Fault:
    """A mistake in the reply to one question; ``text`` is what is written where the kind does not say it."""

    language: str
    question_id: str
    kind: Kind
    country: str = ""
    text: str = ""


FAULTS = (
    Fault("Arabic", "breakfast-1", "invented_country", "atlantis", "خبز بالسمك"),
    Fault("Arabic", "lunch-1", "refusal", "ksa", "عذرا، لا يمكنني الإجابة عن هذا السؤال"),
    Fault("Arabic", "dinner-1", "wrong_script", "morocco", "Harira with dates"),
    Fault("Arabic", "desserts-1", "answer_names_country", "egypt", "كنافة مصرية"),
    Fault("Arabic", "fruits-1", "equal_options", "levantine"),
    Fault("Arabic", "eating_habits-1", "near_duplicate_option", "egypt"),
    Fault("Arabic", "before_work-1", "no_answer", "ksa"),
    Fault("Arabic", "commute-1", "missing_country", "morocco"),
    Fault("Arabic", "free_time-1", "unreadable_reply"),
    Fault("Arabic", "siblings-1", "same_as_control", "levantine"),
    Fault("English", "lunch-1", "wrong_language", "uk", "Un bocadillo con la familia y los amigos"),
    Fault("English", "dinner-1", "refusal", "usa", "As an AI, I cannot answer questions about dinner."),
    Fault("English", "snacks-1", "repetition", "australia", "meat pies meat pies meat pies meat pies"),
    *(
        Fault("English", f"{topic}-1", "repeated_answer", "uk", "It depends on the family")
        for topic in ("commute", "free_time", "siblings", "cousins")
    ),
    Fault("English", "greetings-1", "no_control"),
    Fault("Hindi", "lunch-1", "wrong_script", "nepal", "Dal bhat"),
    Fault("Hindi", "dinner-1", "answer_names_country", "nepal", "नेपाली ढिंडो"),
    Fault("Hindi", "desserts-1", "equal_options", "india"),
)
# Seeds that curation should find wanting: asked nearly before, and naming a city of a country.
MORE_SEEDS: tuple[tuple[str, str, str, str, str], ...] = (
    ("breakfast-9", "English", "breakfast", f"{SLOT}, what do people usually eat for breakfasts?", "breakfast-2"),
    ("commute-9", "English", "commute", f"{SLOT}, which pass do workers in London buy for the train?", "commute-2"),
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    write_session(parser.parse_args().out)


def write_session(out: Path) -> None:
    """Write ``seeds.csv`` and ``session.jsonl`` into a folder."""
    languages = {language.name: language for key, language in load_atlas().items() if key in LANGUAGES}
    seeds: list[tuple[str, str, str, str]] = []
    replies: list[dict[str, str]] = []
    for name, language in languages.items():
        for fact in session_facts(language):
            text = f"{OPENINGS[name]}{_question(name, fact)}"
            faults = [fault for fault in FAULTS if (fault.language, fault.question_id) == (name, fact.question_id)]
            seeds.append((fact.question_id, name, fact.topic, text))
            replies.append({"language": name, "text": text, "reply": _reply(fact.answers, faults)})
    for question_id, name, topic, text, answered_as in MORE_SEEDS:
        fact = next(fact for fact in languages[name].facts if fact.question_id == answered_as)
        seeds.append((question_id, name, topic, text))
        replies.append({"language": name, "text": text, "reply": _reply(fact.answers, ())})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([COLUMNS, *seeds])
    write_text(out / "seeds.csv", table.getvalue())
    write_text(out / "session.jsonl", "".join(json.dumps(reply, ensure_ascii=False) + "\n" for reply in replies))


def session_facts(language: Language) -> list[Fact]:
    """Return the facts of a language that the session asks for."""
    return [fact for fact in language.facts if fact.question_id.endswith("-1")][:FACTS]


def _question(language: str, fact: Fact) -> str:
    """Return the first wording, in lower case where it follows the slot in English."""
    text = fact.questions[0]
    return text[0].lower() + text[1:] if language == "English" else text


def _reply(answers: Mapping[str, str], faults: Sequence[Fault]) -> str:
    given: dict[str, str | None] = dict(answers)
    for fault in faults:
        _spoil(given, answers, fault)
    text = json.dumps(given, ensure_ascii=False)
    return text[: len(text) // 2] if any(fault.kind == "unreadable_reply" for fault in faults) else text


def _spoil(given: dict[str, str | None], answers: Mapping[str, str], fault: Fault) -> None:
    others = [country for country in answers if country not in (fault.country, WESTERN)]
    if fault.kind == "no_control":
        given[WESTERN] = None
    elif fault.kind == "missing_country":
        del given[fault.country]
    elif fault.kind == "same_as_control":
        given[fault.country] = answers[WESTERN]
    elif fault.kind == "equal_options":
        given[fault.country] = answers[others[0]]
    elif fault.kind == "near_duplicate_option":
        given[fault.country] = f"{answers[others[0]]}ا"
    elif fault.kind != "unreadable_reply":
        given[fault.country] = fault.text or None


if __name__ == "__main__":
    main()
