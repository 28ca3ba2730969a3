"""Judges' replies on disk: kept the moment they arrive, found again by any job of any study.

One small JSON file for each key, written whole or not at all. Not SQLite, whose locks and write-ahead log do not hold on
network file systems, and not ``diskcache``, which is SQLite and pickle: here jobs on several machines may share a folder, a
crash leaves a file or none, and a person can read, copy or delete what is there. The price is an inode for each judgement.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from yapo.errors import YapoError
from yapo.evaluation.judges.request import Request
from yapo.evaluation.judges.rubric import Messages
from yapo.files import write_json
from yapo.redaction import redact


class Record(BaseModel):
    """What is kept of one judgement: the judge, what was asked, the reply without keys, how it ended, and its tokens.

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
        """The SHA-256 of judge, schema and messages; these hold the rubric's whole wording, so it needs no version number."""
        text = json.dumps([self.judge, self.schema, messages], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, key: str) -> Record | None:
        """What is kept under a key; a file that cannot be read as a record counts as lost, and is replaced later."""
        try:
            with self._usable("read"):
                record = Record.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return record if record.digest in ("", record.digest_under(key)) else None  # "": kept by an earlier release

    def record(self, request: Request, reply: str, tokens_input: int, tokens_output: int, finish: str = "") -> Record:
        """Return the record of a reply, without keeping it."""
        question, gold, answer, text = map(_encodable, (request.question, request.gold, request.completion, redact(reply)))
        return Record(
            judge=self.judge,
            question=question,
            expected_answer=gold,
            answer=answer,
            reply=text,
            finish=finish,
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
    """The text with what UTF-8 cannot hold, half a character of UTF-16, written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
