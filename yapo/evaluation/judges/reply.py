"""Read the response of a chat-completions endpoint, and tell whose failure it is when there is no reply in it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

from openai import APIConnectionError, APIStatusError

from yapo.config import JudgeConfig
from yapo.redaction import redact

# Ends of a reply that was not finished, and of one that the endpoint or its model did not want to give.
_CUT_OFF = (
    *("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "incomplete"),
    *("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal"),
    *("error", "error_toxic", "error_limit", "abort", "aborted"),
)

# Codes that no waiting mends.
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
# Codes by which an endpoint says that it is this one answer that it does not take.
_ANSWER_CODES = (
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "invalid_prompt",
    "context_length_exceeded",
    "string_above_max_length",
)
# Codes by which it says that it takes none: the settings are wrong, or the key.
_SETTINGS_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found", "invalid_api_key")
_ANSWER_STATUSES = (400, 403, 413, 414, 422, 431, 451)
_BUSY_STATUSES = (408, 409, 424, 425, 429, 498, 499)  # 498 and 499: no room, and given up, as gateways say it
_UNREADABLE_RETRIES = 3  # such a body comes at once, and a fourth one like it says no more
_PARTS = ("text", "output_text")
_LONGEST = 1_000_000  # characters of a reply, hundreds of times what grades take; of a longer one the rest is not kept
_LONGEST_ERROR = 10_000

Blame = Literal["named answer", "answer", "busy", "endpoint"]


@dataclass(eq=False)
class Failure(Exception):
    """There is no reply.

    Attributes:
        said: what happened.
        fix: what to do about it.
        blame: ``endpoint`` where no answer would get a reply; ``answer`` where it may be this one alone; ``named answer``
            where the endpoint says so; ``busy`` where it may be either, and asking again was of no help.
        retries: how often asking again may help.
        wait: seconds that the endpoint asks to wait.
    """

    said: str
    fix: str
    blame: Blame
    retries: int = 0
    wait: float = 0.0


class Reply(NamedTuple):
    """The text of a reply, how it ended, and its tokens."""

    text: str
    finish: str = ""
    tokens_input: int = 0
    tokens_output: int = 0


def read_reply(body: bytes, config: JudgeConfig) -> Reply:
    """Return the reply in the body of a response with status 200. Endpoints differ in all but the message.

    Raises:
        Failure: there is none.
    """
    try:
        response = json.loads(body)
    except (ValueError, RecursionError):
        raise _no_completion("") from None
    if not isinstance(response, dict):
        raise _no_completion("")
    choices = response.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    error = response.get("error") or choice.get("error")
    if error and not (isinstance(message, dict) and message.get("content")):
        raise _error_in_body(error, config)
    if not choice:
        raise _no_completion(" (it has no choices)")
    if not isinstance(message, dict):
        raise _no_completion(" (it has no message)")
    content, refusal = message.get("content"), message.get("refusal")
    if content is not None and not isinstance(content, str | list):
        raise _no_completion(f" (its content is a JSON {type(content).__name__})")
    text = content if isinstance(content, str) else "".join(map(_part, content or ()))
    ends = [end for end in (choice.get("finish_reason"), choice.get("native_finish_reason")) if isinstance(end, str)]
    text = text or (refusal if isinstance(refusal, str) else "")
    if len(text) > _LONGEST:
        ends = ["length"]
    usage = response.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(
        text[:_LONGEST],
        "refusal" if refusal else next(filter(is_cut_off, ends), ends[0] if ends else ""),
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def is_cut_off(finish: str) -> bool:
    """Tell whether a reply that ended so is none: ``length``, ``MAX_TOKENS``, ``content_filter: SAFETY``."""
    return any(word in _CUT_OFF for word in re.findall("[a-z_]+", finish.lower()))


def connection_failure(error: APIConnectionError, config: JudgeConfig) -> Failure:
    """Return the failure of a request that got no response."""
    cause = f" {type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else ""
    said = f"no reply in {config.max_retries + 1} attempts ({error.message}{cause})"
    return Failure(said, "check judge.base_url, or raise judge.timeout_s", "busy", config.max_retries)


def status_failure(error: APIStatusError, config: JudgeConfig) -> Failure:
    """Return the failure of a request that was answered with the status of an error."""
    said = error.message.removeprefix(f"Error code: {error.status_code} - ")
    return _failure(error.status_code, error.code, said, config, _retry_after(error.response.headers))


def _error_in_body(error: object, config: JudgeConfig) -> Failure:
    """Return the failure told in a response whose own status is 200. Unless it is of key or credit, it is this answer's."""
    told: Mapping[str, Any] = error if isinstance(error, dict) else {"message": error}
    code = told.get("code")
    digits = str(code)
    status = int(digits) if re.fullmatch("[1-5][0-9][0-9]", digits) else 0
    if not status:
        status = 400 if code in (*_ANSWER_CODES, *_SETTINGS_CODES) else 500
    failure = _failure(status, None if str(code) == str(status) else code, str(told.get("message") or error), config, 0.0)
    failure.said = failure.said.replace("answers status", "answers with an error, status", 1)
    if _is_busy(status) and code not in _NO_CREDIT:
        failure.blame, failure.retries = "answer", _UNREADABLE_RETRIES
    return failure


def _is_busy(status: int) -> bool:
    return status in _BUSY_STATUSES or status >= 500


def _failure(status: int, code: object, message: str, config: JudgeConfig, wait: float) -> Failure:
    named = redact(" ".join(str(part)[:100] for part in (status, code) if part))
    said = f"the endpoint answers status {named} ({' '.join(redact(message[:_LONGEST_ERROR]).split())[:300]})"
    if code in _NO_CREDIT or status == 402:
        return Failure(said, "top up the account", "endpoint")
    if _is_busy(status):
        fix = "try later, or with a lower judge.concurrency"
        return (
            Failure(said, fix, "busy", config.max_retries, wait) if wait <= config.max_wait_s else Failure(said, fix, "endpoint")
        )
    blame: Blame = "answer" if status in _ANSWER_STATUSES and code not in _SETTINGS_CODES else "endpoint"
    if code in _ANSWER_CODES:
        blame = "named answer"
    if status in (401, 403):
        return Failure(said, f"check the key in {config.api_key_env or 'judge.api_key_env'}, and what it may use", blame)
    if status in (404, 405, 410):
        return Failure(said, "check judge.base_url and judge.model", blame)
    return Failure(said, "set judge.response_format, judge.system_turn or judge.parameters to what it takes", blame)


def _no_completion(detail: str) -> Failure:
    said = f"what the endpoint sends is no chat completion{detail}"
    return Failure(said, "check judge.base_url", "answer", _UNREADABLE_RETRIES)


def _part(part: object) -> str:
    """Return the text of one part of a reply; nothing for a part of another kind, such as a thought."""
    if isinstance(part, dict) and part.get("type", "text") in _PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    return part if isinstance(part, str) else ""


def _count(value: object) -> int:
    """Return a number of tokens; 0 where the endpoint does not count them."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return seconds that the endpoint asks to wait, as a number or a date; 0 where it does not say."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
