"""Generators of answers: a recorded session, or the chat model of the settings group ``judge``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from yapo.config import JudgeConfig
from yapo.curation.form import answer_form
from yapo.curation.places import Language
from yapo.curation.seeds import SeedQuestion
from yapo.data.records import read_records
from yapo.data.text import shown, text_key
from yapo.errors import YapoError
from yapo.evaluation.judges.base import get_judge
from yapo.evaluation.judges.cached import CachedJudge
from yapo.evaluation.judges.rubric import Request

COLUMNS = ("language", "text", "reply", "tokens_input", "tokens_output")


@dataclass(frozen=True)
class Reply:
    """A generator's text about one question, and the tokens that it took."""

    text: str
    tokens_input: int = 0
    tokens_output: int = 0


class Generator(Protocol):
    """Answers seed questions of one language."""

    label: str

    def ask(self, language: Language, questions: Sequence[SeedQuestion]) -> list[Reply]:
        """Return one reply for each question, in order; an empty one where there is none."""
        ...

    def report(self) -> list[dict[str, object]]:
        """Return what was asked and what it cost, by language where there are several, as JSON-like values."""
        ...


class RecordedGenerator:
    """Replays a file of replies: a JSON object a line, with ``language, text, reply`` and perhaps tokens.

    A reply is found by the question's language and text, in any order.

    Raises:
        YapoError: the file cannot be read, lacks a column, or has two replies to one question.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.label = path, f"recording {path.name}"
        records = read_records(path)
        if records.faults:
            raise YapoError(f"{path}: line {records.faults[0].row}: {records.faults[0].detail}")
        self._replies: dict[tuple[str, str], Reply] = {}
        for number, row in records.rows:
            texts = [row.get(name) for name in COLUMNS[:3]]
            tokens = [row.get(name, 0) for name in COLUMNS[3:]]
            if not all(isinstance(text, str) for text in texts) or not all(_is_count(count) for count in tokens):
                raise YapoError(f"{path}: line {number}: {shown(row)}; give {', '.join(COLUMNS)}, texts and whole numbers")
            language, text, reply = map(str, texts)
            if (language, text_key(text)) in self._replies:
                raise YapoError(f"{path}: line {number}: a second reply to {shown(text)}; keep one")
            self._replies[language, text_key(text)] = Reply(reply, *tokens)
        self._used: list[Reply] = []

    def ask(self, language: Language, questions: Sequence[SeedQuestion]) -> list[Reply]:
        """See ``Generator.ask``.

        Raises:
            YapoError: a question was not asked in the recorded session.
        """
        for question in questions:
            if (language.name, text_key(question.text)) not in self._replies:
                raise YapoError(
                    f"curation.recording={self.path}: has no {language.name} reply to {shown(question.text)}; take the question "
                    "out, or ask a model (curation.recording='' judge=openai)"
                )
        replies = [self._replies[language.name, text_key(question.text)] for question in questions]
        self._used += replies
        return replies

    def report(self) -> list[dict[str, object]]:
        """See ``Generator.report``."""
        tokens = {
            "input": sum(reply.tokens_input for reply in self._used),
            "output": sum(reply.tokens_output for reply in self._used),
        }
        return [{"answers": len(self._used), "requests": 0, "tokens": tokens, "cost": None}]


class ChatGenerator:
    """Asks the chat model of ``judge``: an endpoint, or a model that runs here. Replies are kept in ``judge.cache``.

    Args:
        config: the settings of ``judge``.
        only: countries to ask about; all of each language where none is given.

    Raises:
        YapoError: ``judge.name=offline`` names no model.
    """

    def __init__(self, config: JudgeConfig, only: Collection[str] = ()) -> None:
        if config.name == "offline":
            raise YapoError("judge.name=offline: writes no answers; set judge=openai or judge=local, or curation.recording")
        self.config, self.only, self.label = config, only, config.model
        self._reports: list[dict[str, object]] = []

    def ask(self, language: Language, questions: Sequence[SeedQuestion]) -> list[Reply]:
        """See ``Generator.ask``.

        Raises:
            YapoError: the model can be asked no more; replies that arrived are kept, and the next run goes on from there.
        """
        client = get_judge(self.config, answer_form(language, self.only))
        assert isinstance(client, CachedJudge)
        records = client.records([Request(question.text, "", "") for question in questions])
        self._reports.append({"language": language.name, **client.report()})
        return [Reply(record.reply, record.tokens_input, record.tokens_output) for record in records]

    def report(self) -> list[dict[str, object]]:
        """See ``Generator.report``."""
        return self._reports


def get_generator(recording: str, config: JudgeConfig, only: Collection[str] = ()) -> Generator:
    """Return the recorded session where there is one, otherwise the chat model."""
    return RecordedGenerator(Path(recording)) if recording else ChatGenerator(config, only)


def by_language(questions: Iterable[SeedQuestion]) -> Mapping[str, list[SeedQuestion]]:
    """Return questions by language, both in their order."""
    found: dict[str, list[SeedQuestion]] = {}
    for question in questions:
        found.setdefault(question.language, []).append(question)
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
