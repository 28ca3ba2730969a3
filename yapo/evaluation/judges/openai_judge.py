"""A judge behind any endpoint that speaks the OpenAI chat-completions protocol: the service itself, vLLM, a gateway.

Threads and not ``asyncio``: the judge is called from plain code, and a few requests at a time need no event loop. Waiting
between retries is ``tenacity``'s; the client's own retries cannot be configured, and would also repeat a refusal for lack
of credit, which comes as status 429 too.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast

from openai import APIConnectionError, APIError, APIStatusError, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exception, wait_exponential_jitter
from tenacity.nap import sleep_using_event

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges.cache import Record
from yapo.evaluation.judges.cached import Asked, CachedJudge
from yapo.evaluation.judges.culture import CULTURE
from yapo.evaluation.judges.request import Request
from yapo.evaluation.judges.rubric import Messages, Rubric, ask_again

# Error codes of status 429 that no waiting mends.
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
# Error codes of status 400 that concern one answer, not the endpoint: the answer stays unscored, the rest goes on.
FILTERED = ("content_filter", "content_policy_violation", "data_inspection_failed")

log = logging.getLogger(__name__)


class OpenAIJudge(CachedJudge):
    """Asks an endpoint, up to ``judge.concurrency`` requests at once; every reply is kept before the next one is sent for.

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
        self._key = _read_key(config.api_key_env)
        self._client = OpenAI(api_key=self._key or "none", base_url=config.base_url, timeout=config.timeout_s, max_retries=0)
        self._stop = threading.Event()
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it writes a line for every request

    def _ask(self, wanted: Mapping[str, Request]) -> Iterator[Asked]:
        self._stop.clear()
        failure: BaseException | None = None
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            futures = [pool.submit(self._settle, key, request) for key, request in wanted.items()]
            try:
                for future in as_completed(futures):
                    error = future.exception()
                    if error is None:
                        yield future.result()
                    elif not isinstance(error, _Stopped):
                        failure = failure or error
            finally:  # also on Ctrl-C: nothing new is sent, and what is under way is waited for and kept
                self._stop.set()
        if isinstance(failure, APIError | ValidationError):
            raise self._refusal(failure)
        if failure is not None:
            raise failure

    def _settle(self, key: str, request: Request) -> Asked:
        """Get one answer judged and kept, unless another request has failed for good."""
        if self._stop.is_set():
            raise _Stopped
        try:
            with self.cache.asking(key):
                kept = self.cache.read(key)
                return Asked(key, kept, 0) if kept is not None and self.grades(kept) is not None else self._grade(key, request)
        except BaseException:
            self._stop.set()
            raise

    def _grade(self, key: str, request: Request) -> Asked:
        """Ask for grades; an unreadable reply is asked for once more."""
        chat = self.chat(request)
        first = self._reply(chat)
        record = self._keep(key, request, [first])
        if self.grades(record) is not None:
            return Asked(key, record, first.requests)
        second = self._reply(ask_again(chat, first.text))
        return Asked(key, self._keep(key, request, [first, second]), first.requests + second.requests)

    def _keep(self, key: str, request: Request, replies: list[_Reply]) -> Record:
        tokens = (sum(reply.tokens_input for reply in replies), sum(reply.tokens_output for reply in replies))
        return self.cache.write(key, request, replies[-1].text, *tokens)

    def _reply(self, chat: Messages) -> _Reply:
        """One reply, however many attempts it takes.

        Raises:
            APIError, ValidationError: the endpoint refuses, or gave nothing usable in all attempts.
        """
        longest = self.config.max_wait_s
        retrying = Retrying(
            retry=retry_if_exception(lambda error: _passes(error, longest)),
            # What the endpoint asks for, and on top a growing wait with jitter, so that requests do not return as one.
            wait=wait_exception(_retry_after)
            + wait_exponential_jitter(multiplier=self.config.backoff_s, max=longest, jitter=self.config.backoff_s),
            stop=stop_after_attempt(self.config.max_retries + 1),
            sleep=sleep_using_event(self._stop),
            before_sleep=_log_retry,
            reraise=True,
        )
        reply = retrying(self._post, chat)
        return reply._replace(requests=int(retrying.statistics["attempt_number"]))

    def _post(self, chat: Messages) -> _Reply:
        """Send one request and read the body of its response."""
        if self._stop.is_set():
            raise _Stopped
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self.config.model, messages=cast(list[ChatCompletionMessageParam], chat), extra_body=self._body
            )
        except APIStatusError as error:
            if error.status_code == 400 and error.code in FILTERED:
                return _Reply(f"refused by the endpoint: {error.code}", 0, 0)
            raise
        completion = _Completion.model_validate_json(response.content)
        message, usage = completion.choices[0].message, completion.usage or _Usage()
        return _Reply(message.content or message.refusal or "", usage.prompt_tokens, usage.completion_tokens)

    def _refusal(self, error: APIError | ValidationError) -> YapoError:
        """What went wrong and what to do, without the key, which an endpoint may repeat in its message."""
        said, fix = _explain(error, self.config)
        done = sum(self.grades(record) is not None for record in self._known.values())
        text = (
            f"judge.model={self.config.model}, judge.base_url={self.config.base_url}: {said}; {fix}. {done} answers are judged "
            f"and kept in {self.config.cache}; running again goes on from there"
        )
        return YapoError(text.replace(self._key, "***") if self._key else text)


class _Reply(NamedTuple):
    text: str
    tokens_input: int
    tokens_output: int
    requests: int = 1


class _Stopped(Exception):
    """Another request has failed for good; this one is not sent."""


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    """As much of a response as is needed: endpoints differ in the rest, and some count no tokens."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


def _read_key(variable: str) -> str:
    """The key of the endpoint; empty where it asks for none."""
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
    return key


def _response_format(config: JudgeConfig, rubric: Rubric) -> dict[str, Any] | None:
    if config.response_format == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "grades", "strict": True, "schema": rubric.schema}}
    return {"type": "json_object"} if config.response_format == "json_object" else None


def _passes(error: BaseException, longest: float) -> bool:
    """Whether a failure may pass by itself: cut connections, timeouts, garbled bodies, 408, 409, 429 and 5xx."""
    if isinstance(error, APIStatusError):
        busy = error.status_code in (408, 409, 429) or error.status_code >= 500
        return busy and error.code not in NO_CREDIT and _retry_after(error) <= longest
    return isinstance(error, APIConnectionError | ValidationError)


def _retry_after(error: BaseException) -> float:
    """Seconds that the endpoint asks to wait, as a number or a date; 0 where it does not say."""
    value = error.response.headers.get("retry-after", "") if isinstance(error, APIStatusError) else ""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    kind = f"status {error.status_code}" if isinstance(error, APIStatusError) else type(error).__name__
    log.info("judge: %s; asking again in %.1f s", kind, state.upcoming_sleep)


def _explain(error: APIError | ValidationError, config: JudgeConfig) -> tuple[str, str]:
    """What happened and what to do about it."""
    if isinstance(error, APIStatusError):
        status = " ".join(str(part) for part in (error.status_code, error.code) if part)
        detail = " ".join(error.message.removeprefix(f"Error code: {error.status_code} - ").split())[:300]
        said = f"the endpoint answers status {status} ({detail})"
        if error.code in NO_CREDIT or error.status_code == 402:
            return said, "top up the account"
        if error.status_code in (401, 403):
            return said, f"check the key in {config.api_key_env or 'judge.api_key_env'}, and what it may use"
        if error.status_code == 404:
            return said, "check judge.base_url and judge.model"
        if error.status_code < 500 and error.status_code not in (408, 409, 429):
            return said, "set judge.response_format, judge.system_turn or judge.parameters to what it takes"
        return said, "try later, or with a lower judge.concurrency"
    if isinstance(error, ValidationError):
        return "what the endpoint sends is no chat completion", "check judge.base_url"
    cause = f" {type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else ""
    said = f"no reply in {config.max_retries + 1} attempts ({error.message}{cause})"
    return said, "check judge.base_url, or raise judge.timeout_s"
