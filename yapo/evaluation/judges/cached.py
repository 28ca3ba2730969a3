"""Judges that ask a model, once for each distinct answer, and keep its replies on disk, where any job of any study finds them.

One small JSON file for each key, written whole or not at all. Not SQLite, whose locks and write-ahead log do not hold on
network file systems, and not ``diskcache``, which is SQLite and pickle: here jobs on several machines may share a folder, a
crash leaves a file or none, and a person can read, copy or delete what is there. The price is an inode for each judgement.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges.label import judge_label
from yapo.evaluation.judges.reply import is_cut_off
from yapo.evaluation.judges.rubric import Grades, Judgement, Messages, Request, Rubric
from yapo.files import write_json
from yapo.redaction import redact


class Record(BaseModel):
    """One judgement on disk: the judge, what was asked, the reply without keys, how it ended, and its tokens.

    ``tokens_input`` and ``tokens_output`` count every reply that was asked for, an unreadable first one included. ``digest``
    is of all the rest and of the key: a damaged or exchanged file is not taken for a judgement.
    """

    judge: dict[str, object]
    question: str
    expected_answer: str
    answer: str
    reply: str
    finish: str = ""
    tokens_input: int
    tokens_output: int
    digest: str = ""

    def digest_under(self, key: str) -> str:
        """Return the digest that the record has when it is kept under ``key``."""
        text = json.dumps([key, self.model_dump(exclude={"digest"})], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class ReplyCache:
    """Records in ``folder``, keyed by everything that decides a reply.

    Args:
        folder: where records are kept, in 256 subfolders.
        judge: what decides a reply beside the messages: model, where it runs, how it samples.
        schema: the form of a reply.

    Raises:
        YapoError: the folder cannot be made, or later be read or written.
    """

    def __init__(self, folder: Path, judge: Mapping[str, object], schema: Mapping[str, object]) -> None:
        self.folder, self.judge, self.schema = folder, dict(judge), dict(schema)
        with self._usable("made"):
            folder.mkdir(parents=True, exist_ok=True)

    def key(self, messages: Messages) -> str:
        """Return the SHA-256 of judge, schema and messages; these hold the rubric's wording, so it needs no version number."""
        text = json.dumps([self.judge, self.schema, messages], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, key: str) -> Record | None:
        """Return what is kept under a key; a file that cannot be read as a record counts as lost, and is replaced later."""
        try:
            with self._usable("read"):
                record = Record.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return record if record.digest in ("", record.digest_under(key)) else None  # "": kept by an earlier release

    def record(self, request: Request, reply: str, tokens_input: int, tokens_output: int, finish: str = "") -> Record:
        """Return the record of a reply, without keeping it."""
        texts = (request.question, request.gold, request.completion, redact(reply), redact(finish))
        question, gold, answer, text, ended = map(_encodable, texts)
        return Record(
            judge=self.judge,
            question=question,
            expected_answer=gold,
            answer=answer,
            reply=text,
            finish=ended,
            tokens_input=tokens_input,
            tokens_output=tokens_output,
        )

    def write(self, key: str, request: Request, reply: str, tokens_input: int, tokens_output: int, finish: str = "") -> Record:
        """Keep a reply, readable or not, in place of what was kept under the key."""
        record = self.record(request, reply, tokens_input, tokens_output, finish)
        record.digest = record.digest_under(key)
        with self._usable("written"):
            write_json(self._path(key), record.model_dump())
        return record

    @contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """Hold a key while its reply is fetched: another job that wants the same one waits, then finds it kept.

        The kernel frees the lock however its holder ends. Where a network file system has no locks between machines, two of
        them may ask the same thing once each.
        """
        path = self._path(key).with_suffix(".lock")
        with self._usable("written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while held: a waiter sees that the file is gone, and takes a new one
            lock.release()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    @contextmanager
    def _usable(self, what: str) -> Iterator[None]:
        """Say of a folder that cannot be used what is wrong with it; a file that is not there is no such case."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            where = "" if error.filename is None or Path(error.filename) == self.folder else f" at {error.filename}"
            reason = error.strerror or type(error).__name__
            raise YapoError(
                f"judge.cache={self.folder}: cannot be {what}{where} ({reason}); name a folder you may write to"
            ) from None


def _encodable(text: str) -> str:
    """Return the text with what UTF-8 cannot hold, half a character of UTF-16, written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


log = logging.getLogger(__name__)


class Grading(NamedTuple):
    """Record of one answer, and how often the model was asked; 0 where another job had just got a reply."""

    key: str
    record: Record
    requests: int


class CachedJudge(ABC):
    """Grades by the rubric, from the cache where it can.

    An answer whose reply could not be read is unscored for as long as this judge lives; a later run asks for it again.
    """

    def __init__(self, config: JudgeConfig, rubric: Rubric, decides: Mapping[str, object], system: bool) -> None:
        """Open the cache.

        Args:
            decides: what decides a reply beside the rubric; see ``ReplyCache``.
            system: whether the chat has a system turn.
        """
        self.label = judge_label(config)
        self.config, self.rubric, self.system = config, rubric, system
        self.cache = ReplyCache(Path(config.cache), decides, rubric.schema)
        self._known: dict[str, Record] = {}
        self._answers = self._from_cache = self._requests = self._tokens_input = self._tokens_output = 0

    @abstractmethod
    def _ask(self, wanted: Mapping[str, Request]) -> Iterator[Grading]:
        """Ask for replies, by key, and yield each one once it is in the cache, in any order; without text where there is none.

        Raises:
            YapoError: the model can be asked no more; what was yielded is kept.
        """

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        """See ``Judge.judge``.

        Raises:
            YapoError: the model can be asked no more; every reply that arrived is kept, and the next run goes on from there.
        """
        return [self._judgement(record) for record in self.records(requests)]

    def records(self, requests: Sequence[Request]) -> list[Record]:
        """Return the record of each request, in order, whether its reply could be read or not.

        Raises:
            YapoError: see ``judge``.
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
        return [self._known[key] for key in keys]

    def chat(self, request: Request) -> Messages:
        """Return what the model is sent to grade one answer."""
        return self.rubric.messages(request, self.system)

    def grades(self, record: Record) -> Grades | None:
        """Return the grades kept, read anew each time: a better parser also reads what was kept before it.

        A reply that was cut off has none: what it says may be a draft.
        """
        return None if is_cut_off(record.finish) else self.rubric.parse(record.reply)

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

    def _take(self, asked: Grading) -> None:
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
