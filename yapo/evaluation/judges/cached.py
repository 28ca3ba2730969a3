"""What the judges that ask a model have in common: ask once for each distinct answer, and only for what is not kept."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from yapo.config import JudgeConfig
from yapo.evaluation.judges.cache import Record, ReplyCache
from yapo.evaluation.judges.label import judge_label
from yapo.evaluation.judges.reply import CUT_OFF
from yapo.evaluation.judges.request import Grades, Judgement, Request
from yapo.evaluation.judges.rubric import Messages, Rubric

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """What came of one answer: its record, and how often the model was asked; 0 where another job had just got a reply."""

    key: str
    record: Record
    requests: int


class CachedJudge(ABC):
    """Grades by the rubric, from the cache where it can.

    An answer whose reply could not be read is unscored for as long as this judge lives; a later run asks for it again.
    """

    def __init__(self, config: JudgeConfig, rubric: Rubric, decides: Mapping[str, object], system: bool) -> None:
        """``decides``: what decides a reply beside the rubric (see ``ReplyCache``). ``system``: the chat has a system turn."""
        self.label = judge_label(config)
        self.config, self.rubric, self.system = config, rubric, system
        self.cache = ReplyCache(Path(config.cache), decides, rubric.schema)
        self._known: dict[str, Record] = {}
        self._answers = self._from_cache = self._requests = self._tokens_input = self._tokens_output = 0

    @abstractmethod
    def _ask(self, wanted: Mapping[str, Request]) -> Iterator[Asked]:
        """Ask for replies, by key, and yield each one once it is in the cache, in any order; without text where there is none.

        Raises:
            YapoError: the model can be asked no more; what was yielded is kept.
        """

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``.

        Raises:
            YapoError: the model can be asked no more; every reply that arrived is kept, and the next run goes on from there.
        """
        self._answers += len(requests)
        keys = [self.cache.key(self.chat(request)) for request in requests]
        wanted = {key: request for key, request in zip(keys, requests, strict=True) if key not in self._known}
        for key in list(wanted):
            record = self.cache.read(key)
            if record is not None and self.grades(record) is not None:
                self._known[key] = record
                self._from_cache += 1
                del wanted[key]
        for asked in self._ask(wanted) if wanted else ():
            self._take(asked)
        if wanted:
            unread = sum(self.grades(self._known[key]) is None for key in wanted)
            log.info("%s: %d answers judged, of which %d unscored", self.label, len(wanted), unread)
        return [self._judgement(self._known[key]) for key in keys]

    def chat(self, request: Request) -> Messages:
        """What the model is sent to grade one answer."""
        return self.rubric.messages(request, self.system)

    def grades(self, record: Record) -> Grades | None:
        """The grades kept, read anew each time: a better parser also reads what was kept before it.

        A reply that was cut off has none: what it says may be a draft.
        """
        return None if record.finish in CUT_OFF else self.rubric.parse(record.reply)

    def report(self) -> dict[str, object]:
        """See ``Judge.report``.

        ``requests``, ``tokens`` and ``cost`` are what this judge has used; ``with_cached`` adds what the judgements taken from
        the cache used when they were made. A cost is None where no price is configured.
        """
        records = self._known.values()
        tokens = (sum(record.tokens_input for record in records), sum(record.tokens_output for record in records))
        return {
            "judge": self.label,
            "answers": self._answers,
            "distinct": len(records),
            "from_cache": self._from_cache,
            "unscored": sum(self.grades(record) is None for record in records),
            "requests": self._requests,
            **self._used(self._tokens_input, self._tokens_output),
            "with_cached": self._used(*tokens),
        }

    def _judgement(self, record: Record) -> Judgement:
        grades = self.grades(record)
        return Judgement(None if grades is None else float(sum(grades.values())), grades)

    def _take(self, asked: Asked) -> None:
        self._known[asked.key] = asked.record
        self._requests += asked.requests
        if asked.requests:
            self._tokens_input += asked.record.tokens_input
            self._tokens_output += asked.record.tokens_output
        else:
            self._from_cache += 1

    def _used(self, tokens_input: int, tokens_output: int) -> dict[str, object]:
        cost = None
        if self.config.price_input is not None and self.config.price_output is not None:
            cost = (tokens_input * self.config.price_input + tokens_output * self.config.price_output) / 1e6
        return {"tokens": {"input": tokens_input, "output": tokens_output}, "cost": cost}
