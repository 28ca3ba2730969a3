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


class Record(BaseModel):
    """What is kept of one judgement: whose it is, what was asked, the reply as it came, and the tokens that it took.

    ``tokens_input`` and ``tokens_output`` count every reply that was asked for, an unreadable first one included.
    """

    judge: dict[str, object]
    question: str
    expected_answer: str
    answer: str
    reply: str
    tokens_input: int
    tokens_output: int


class ReplyCache:
    """Records in ``folder``, keyed by everything that decides a reply.

    Args:
        folder: where records are kept, in 256 subfolders.
        judge: what decides a reply beside the messages: model, where it runs, how it samples.
        schema: the form of a reply.

    Raises:
        YapoError: the folder cannot be made.
    """

    def __init__(self, folder: Path, judge: Mapping[str, object], schema: Mapping[str, object]) -> None:
        self.folder, self.judge, self.schema = folder, dict(judge), dict(schema)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise YapoError(f"judge.cache={folder}: cannot be made ({error.strerror}); name a folder you may write to") from None

    def key(self, messages: Messages) -> str:
        """The SHA-256 of judge, schema and messages; these hold the rubric's whole wording, so it needs no version number."""
        text = json.dumps([self.judge, self.schema, messages], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, key: str) -> Record | None:
        """What is kept under a key; a file that cannot be read as a record counts as lost, and is replaced later."""
        try:
            return Record.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, key: str, request: Request, reply: str, tokens_input: int, tokens_output: int) -> Record:
        """Keep a reply, readable or not, in place of what was kept under the key."""
        record = Record(
            judge=self.judge,
            question=request.question,
            expected_answer=request.gold,
            answer=request.completion,
            reply=reply,
            tokens_input=tokens_input,
            tokens_output=tokens_output,
        )
        write_json(self._path(key), record.model_dump())
        return record

    @contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """Hold a key while its reply is fetched: another job that wants the same one waits, then finds it kept.

        The kernel frees the lock however its holder ends. Where a network file system has no locks between machines, two of
        them may ask the same thing once each.
        """
        path = self._path(key).with_suffix(".lock")
        path.parent.mkdir(exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while held: a waiter sees that the file is gone, and takes a new one
            lock.release()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
