"""Fields of a request's JSON, each checked; what is wrong is told with its name, its value and the fix."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from yapo.checks import distinct_names, is_finite
from yapo.data.text import shown
from yapo.errors import nearest
from yapo.serving.errors import RequestError

Body = Mapping[str, Any]

# Fields that change nothing here, and fields whose effect this server does not have, with the values that ask for none.
HARMLESS = (
    *("user", "metadata", "store", "service_tier", "parallel_tool_calls", "prompt_cache_key", "safety_identifier"),
    *("reasoning_effort", "verbosity"),
)
NEUTRAL: dict[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "prediction": (),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (0, -1),
    "web_search_options": (),
}


def read_body(data: bytes) -> Body:
    """Return the JSON object of a request.

    Raises:
        RequestError: it is none, or names something twice.
    """
    try:
        body = json.loads(data.decode("utf-8"), object_pairs_hook=distinct_names)
    except RecursionError:
        raise RequestError("the body is nested too deeply; give a JSON object as OpenAI's API takes it") from None
    except ValueError as error:  # JSON and UTF-8 errors are such
        raise RequestError(f"the body is no JSON ({error}); give a JSON object as OpenAI's API takes it") from None
    if not isinstance(body, dict):
        raise RequestError(f"the body is {shown(body)}; give a JSON object as OpenAI's API takes it")
    return body


def check_names(body: Body, known: Collection[str]) -> None:
    """Refuse fields that are unknown, or ask for what this server does not do."""
    for name, value in body.items():
        if name in known or name in HARMLESS or value is None:
            continue
        if name not in NEUTRAL:
            near = nearest(name, sorted(known))
            raise RequestError(f"{shown(name, bare=True)}: unknown field; {near}leave it out", shown(name, bare=True))
        if value not in NEUTRAL[name]:
            raise RequestError(f"{name}={shown(value)}: this server does not do that; leave it out", name)


def whole(body: Body, name: str, least: int, most: int) -> int | None:
    """Return a whole number of a range; None where the field is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name}={shown(value)}: no whole number; give one from {least} to {most}", name)
    if not least <= value <= most:
        raise RequestError(f"{name}={shown(value)}: give a whole number from {least} to {most}", name)
    return value


def number(body: Body, name: str, least: float, most: float, default: float) -> float:
    """Return a number of a range, with its ends; the default where the field is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value) or not least <= value <= most:
        raise RequestError(f"{name}={shown(value)}: give a number from {least:g} to {most:g}", name)
    return float(value)


def flag(body: Body, name: str) -> bool:
    """Return true or false; false where the field is absent or null."""
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise RequestError(f"{name}={shown(value)}: give true or false", name)
    return bool(value)


def text(value: object, name: str) -> str:
    """Return a text that can be encoded."""
    if not isinstance(value, str):
        raise RequestError(f"{name}={shown(value)}: no text; give one", name)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestError(f"{name}={shown(value)}: holds half a character; give whole ones", name) from None
    return value


def stops(body: Body, most: int) -> tuple[str, ...]:
    """Return the texts at which an answer ends."""
    given = body.get("stop")
    parts = [given] if not isinstance(given, list) else given
    found = tuple(text(part, "stop") for part in parts if part is not None)
    if len(found) > most:
        raise RequestError(f"stop: {len(found)} texts; give {most} at most", "stop")
    if "" in found:
        raise RequestError("stop: holds an empty text, at which every answer would end; leave it out", "stop")
    return found
