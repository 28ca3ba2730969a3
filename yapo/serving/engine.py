"""The thread that decodes. Requests give it rows; it tells each row's pieces as they come."""

from __future__ import annotations

import logging
import queue
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread

import torch

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.serving.batch import Batch
from yapo.serving.errors import RequestError
from yapo.serving.row import Row

PREFILL_TOKENS = 2**13  # of one forward pass over prompts, padding included
MOST_WAITING = 1024  # rows that wait for a place

log = logging.getLogger(__name__)


class Engine:
    """Decodes rows of many requests together, in a thread of its own, between ``with`` and its end.

    Args:
        lm: the model.
        most: rows decoded together; others wait.
    """

    def __init__(self, lm: LanguageModel, most: int) -> None:
        self.lm, self.most = lm, most
        self._came: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._waiting: deque[Row] = deque()
        self._batch = Batch(lm)
        self._closed = Event()
        self._thread = Thread(target=self._decode, name="decoding", daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """Number of answers in progress or waiting."""
        return self._came.qsize() + len(self._waiting) + len(self._batch.rows)

    def submit(self, rows: Sequence[Row]) -> None:
        """Take rows to be answered.

        Raises:
            RequestError: too many wait already.
        """
        if self.rows + len(rows) > self.most + MOST_WAITING:
            raise RequestError(f"{MOST_WAITING} answers wait already; send this request again later", status=503)
        for row in rows:
            self._came.put(row)

    def close(self) -> None:
        """Stop decoding, after the step under way."""
        self._closed.set()
        self._came.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @torch.inference_mode()
    def _decode(self) -> None:
        while not self._closed.is_set():
            self._collect()
            if new := self._admitted():
                self._run(partial(self._batch.admit, new), lambda: new)
            if self._batch.rows:
                self._run(self._batch.step, self._batch.clear)

    def _run(self, work: Callable[[], None], lost: Callable[[], Sequence[Row]]) -> None:
        """Do some work; whatever the model raises ends the answers that are lost by it, not the server."""
        try:
            work()
        except Exception as error:
            told = _told(error)
            for row in lost():
                if not row.is_done:
                    row.fail(told)

    def _collect(self) -> None:
        """Take what came; wait for it where there is nothing to do."""
        idle = not self._waiting and not self._batch.rows
        while True:
            try:
                row = self._came.get(block=idle)
            except queue.Empty:
                return
            idle = False
            if row is not None:
                self._waiting.append(row)

    def _admitted(self) -> list[Row]:
        """Return rows that join the batch now, the longest waiting first."""
        new: list[Row] = []
        longest = 0
        while self._waiting and len(self._batch.rows) + len(new) < self.most:
            row = self._waiting[0]
            longest = max(longest, len(row.prompt))
            if new and longest * (len(new) + 1) > PREFILL_TOKENS:
                break
            self._waiting.popleft()
            if not row.cancelled:
                new.append(row)
        return new


def _told(error: Exception) -> YapoError:
    if isinstance(error, YapoError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return RequestError("out of memory; send shorter prompts, or start the server with a smaller --max-batch", status=503)
    log.warning("%s", YapoError(f"the model failed: {type(error).__name__}: {error}"))
    return RequestError(f"the model failed ({type(error).__name__}); try another request", status=500)
