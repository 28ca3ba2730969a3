"""Prompts for a generator, and the reading of its replies: one answer for each country and a Western control, in one pass."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from yapo.curation.places import Language
from yapo.data.atlas import WESTERN
from yapo.data.text import broken
from yapo.evaluation.judges.rubric import Grades, Request, Rubric, json_objects

TEMPLATE = Path(__file__).with_name("instructions.md.j2")
AGAIN = "That reply could not be read. Reply with the JSON object alone: a text, or null, for every key."
Answers = dict[str, str | None]


@dataclass(frozen=True)
class AnswerForm(Rubric):
    """The form of a reply: a JSON object with an answer, or null, for each country and for ``western``.

    It takes the place of a rubric, so that the client, the retries and the cache of judges serve generators too.
    """

    countries: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """A reply, as the model is shown one."""
        return json.dumps({name: "answer, or null" for name in (*self.countries, WESTERN)})

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of a reply."""
        names = [*self.countries, WESTERN]
        properties = {name: {"type": ["string", "null"]} for name in names}
        return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}

    def parse(self, reply: str) -> Grades | None:
        """Return no grades where the reply can be read, None where it cannot."""
        return None if read_answers(reply) is None else {}


def answer_form(language: Language, only: Collection[str] = ()) -> AnswerForm:
    """Return the form of answers in one language, for some of its countries; for all where none is given."""
    countries = [country for key, country in language.countries.items() if not only or key in only]
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # a prompt, no page
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    instructions = template.render(countries=countries, control=WESTERN, register=language.register, language=language.name)
    task = "Answer the question in the data above."
    return AnswerForm(instructions, {}, _data, task, AGAIN, tuple(country.key for country in countries))


def read_answers(reply: str) -> Answers | None:
    """Return the answers in a reply, by country; None where no object, or more than one, holds answers alone.

    Texts that no file can hold, such as half a character, are no answers.
    """
    read = [value for value in json_objects(reply) if value and all(map(_is_answer, (*value, *value.values())))]
    return read[0] if read and all(value == read[0] for value in read) else None


def _is_answer(value: object) -> bool:
    return value is None or (isinstance(value, str) and not broken(value))


def _data(request: Request) -> dict[str, str]:
    return {"question": request.question}
