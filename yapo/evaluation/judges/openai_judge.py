"""A judge behind any endpoint that speaks the OpenAI chat-completions protocol: the service itself, vLLM, a gateway.

Threads and not ``asyncio``: the judge is called from plain code, and a few requests at a time need no event loop. Waiting
between retries is ``tenacity``'s; the client's own retries cannot be configured, and would also repeat a refusal for lack
of credit, which comes as status 429 too.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, cast

from openai import APIConnectionError, APIStatusError, OpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exception, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges.cached import CachedJudge, Grading
from yapo.evaluation.judges.reply import Failure, Reply, connection_failure, read_reply, status_failure
from yapo.evaluation.judges.rubric import CULTURE, Messages, Request, Rubric, ask_again
from yapo.redaction import redact, remember

# So many answers without a reply, one after the other, are the endpoint's failure; a few may be theirs.
IN_A_ROW = 25
_BUSY_IN_A_ROW = 3  # likewise where each was asked for again and again; or as many as are asked for at once
# A request that any endpoint can reply to.
_PROBE = Request("1 + 1?", "2", "2", "3", "3")

log = logging.getLogger(__name__)


class OpenAIJudge(CachedJudge):
    """Asks an endpoint, up to ``judge.concurrency`` requests at once; every reply is kept before the next one is sent for.

    An answer that the endpoint refuses, fails on each time it is asked, or sends nothing readable for, is unscored. A failure of
    the endpoint stops the judge: a refused key, an unknown model, no reply for any answer or for ``IN_A_ROW`` of them, or trouble
    that outlasts all retries for as many as are asked for at once, or when all others are judged and it replies to nothing else.

    Raises:
        YapoError: the environment holds no key.
    """

    def __init__(self, config: JudgeConfig, rubric: Rubric = CULTURE) -> None:
        body = {
            "max_completion_tokens": config.max_tokens,
            "response_format": _response_format(config, rubric),
            **config.parameters,
        }
        self._body = {name: value for name, value in body.items() if value is not None}
        super().__init__(config, rubric, {"model": config.model, "base_url": config.base_url, **self._body}, config.system_turn)
        key = _read_key(config.api_key_env)
        self._client = OpenAI(api_key=key or "none", base_url=config.base_url, timeout=config.timeout_s, max_retries=0)
        self._stop = threading.Event()
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they write lines for every request, headers among them

    def _ask(self, wanted: Mapping[str, Request]) -> Iterator[Grading]:
        self._stop.clear()
        end: BaseException | None = None
        often = ""
        failed: list[_NoReply] = []
        in_a_row = 0
        most_busy = max(_BUSY_IN_A_ROW, min(self.config.concurrency, IN_A_ROW))
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            futures = [pool.submit(self._settle, key, request) for key, request in wanted.items()]
            try:
                for future in as_completed(futures):
                    error = future.exception()
                    if error is None:
                        in_a_row = 0
                        yield future.result()
                    elif isinstance(error, _NoReply):
                        failed.append(error)
                        in_a_row += error.failure.blame != "named answer"
                        if in_a_row >= (most_busy if error.failure.blame == "busy" else IN_A_ROW) and end is None:
                            self._stop.set()
                            end, often = error.failure, f", for {in_a_row} answers in a row"
                    elif not isinstance(error, _Stop):
                        end = end or error
            finally:  # also on Ctrl-C: nothing new is sent, and what is under way is waited for and kept
                self._stop.set()
        if end is None and failed and not self._known:  # no answer at all has got a reply from it
            end, often = failed[0].failure, f", for all {len(failed)} answers asked" if len(failed) > 1 else ""
        busy = [error.failure for error in failed if error.failure.blame == "busy"]
        if end is None and busy and not self._replies():
            end, often = busy[0], f", for {len(busy)} answers" if len(busy) > 1 else ""
        if isinstance(end, Failure):
            raise self._refusal(end, often)
        if end is not None:
            raise end
        yield from self._unscored(wanted, failed)

    def _settle(self, key: str, request: Request) -> Grading:
        """Get one answer judged and kept, unless another request has failed for good."""
        if self._stop.is_set():
            raise _Stop
        try:
            with self.cache.asking(key):
                kept = self.cache.read(key)
                return Grading(key, kept, 0) if kept is not None and self.grades(kept) is not None else self._grade(key, request)
        except _NoReply:
            raise
        except BaseException:
            self._stop.set()
            raise

    def _grade(self, key: str, request: Request) -> Grading:
        """Ask for grades; an unreadable reply is asked for once more.

        Raises:
            Failure: the endpoint gives no replies; ``_NoReply``: it gives none for this answer.
        """
        chat = self.chat(request)
        first, requests = self._reply(key, chat)
        record = self.cache.write(key, request, first.text, first.tokens_input, first.tokens_output, first.finish)
        if self.grades(record) is not None:
            return Grading(key, record, requests)
        try:
            second, more = self._reply(key, ask_again(chat, record.reply, self.rubric.again))
        except _NoReply as error:
            return Grading(key, record, requests + error.requests)
        tokens = (first.tokens_input + second.tokens_input, first.tokens_output + second.tokens_output)
        return Grading(key, self.cache.write(key, request, second.text, *tokens, second.finish), requests + more)

    def _reply(self, key: str, chat: Messages) -> tuple[Reply, int]:
        """Return one reply, and how many requests it took.

        Raises:
            Failure, _NoReply: see ``_grade``.
        """
        longest = self.config.max_wait_s
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Failure) and error.retries > 0),
            # The wait that the endpoint asks for, and on top a growing one with jitter, so that requests do not return as one.
            wait=wait_exception(lambda error: error.wait if isinstance(error, Failure) else 0.0)
            + wait_exponential_jitter(multiplier=self.config.backoff_s, max=longest, jitter=self.config.backoff_s),
            stop=self._enough,
            sleep=sleep_using_event(self._stop),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            reply = retrying(self._post, chat)
        except Failure as failure:
            if failure.blame == "endpoint":
                raise
            raise _NoReply(key, failure, int(retrying.statistics["attempt_number"])) from None
        return reply, int(retrying.statistics["attempt_number"])

    def _enough(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        retries = error.retries if isinstance(error, Failure) else 0
        return state.attempt_number > min(self.config.max_retries, retries)

    def _post(self, chat: Messages) -> Reply:
        """Send one request and read the body of its response."""
        if self._stop.is_set():
            raise _Stop
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self.config.model, messages=cast(list[ChatCompletionMessageParam], chat), extra_body=self._body
            )
        except APIStatusError as error:
            raise status_failure(error, self.config) from None
        except APIConnectionError as error:
            raise connection_failure(error, self.config) from None
        except OpenAIError as error:
            raise Failure(f"the request failed ({error})", "check judge.base_url and judge.parameters", "endpoint") from None
        return read_reply(response.content, self.config)

    def _replies(self) -> bool:
        """Ask for something simple, to tell trouble with some answers from trouble with all."""
        self._stop.clear()
        self._requests += 1
        try:
            self._post(self.chat(_PROBE))
        except Failure:
            return False
        return True

    def _unscored(self, wanted: Mapping[str, Request], failed: list[_NoReply]) -> Iterator[Grading]:
        """Yield answers without a reply, for this run alone: nothing is kept of them, so the next run asks again."""
        if failed:
            reasons = Counter(redact(error.failure.said) for error in failed).most_common(3)
            told = "; ".join(f"{count}: {said}" for said, count in reasons)
            log.warning("%s: %d of %d answers got no reply and stay unscored (%s)", self.label, len(failed), len(wanted), told)
        for error in failed:
            yield Grading(error.key, self.cache.record(wanted[error.key], "", 0, 0), error.requests)

    def _refusal(self, failure: Failure, often: str) -> YapoError:
        done = sum(self.grades(record) is not None for record in self._known.values())
        return YapoError(
            f"judge.model={self.config.model}, judge.base_url={self.config.base_url}: {failure.said}{often}; {failure.fix}. "
            f"{done} answers are judged and kept in {self.config.cache}; running again goes on from there"
        )


class _Stop(Exception):
    """Another request has failed for good; this one is not sent."""


class _NoReply(Exception):
    """The endpoint has no reply for one answer."""

    def __init__(self, key: str, failure: Failure, requests: int) -> None:
        super().__init__(failure.said)
        self.key, self.failure, self.requests = key, failure, requests


def _read_key(variable: str) -> str:
    """Return the key of the endpoint; empty where it asks for none."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise YapoError(
            f"{variable}: not set; judge.name=openai takes the endpoint's key from this environment variable "
            "(judge.api_key_env names it; empty for an endpoint that asks for no key)"
        )
    if not (key.isascii() and key.isprintable()):
        raise YapoError(f"{variable}: holds characters that no key has; copy the key again")
    remember(key)
    return key


def _response_format(config: JudgeConfig, rubric: Rubric) -> dict[str, Any] | None:
    if config.response_format == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "grades", "strict": True, "schema": rubric.schema}}
    return {"type": "json_object"} if config.response_format == "json_object" else None


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    said = error.said.partition(" (")[0] if isinstance(error, Failure) else type(error).__name__
    log.info("judge: %s; asking again in %.1f s", said, state.upcoming_sleep)
