"""Requests, read and checked: prompts as token ids, vectors with multipliers, and decoding options."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.evaluation.decoding.sampling import Sampling
from yapo.models.language_model import LanguageModel
from yapo.serving import fields
from yapo.serving.errors import RequestError
from yapo.serving.fields import Body
from yapo.serving.row import DecodingOptions
from yapo.serving.vectors import Strengths, Vectors

Endpoint = Literal["chat", "completions"]

MOST_ROWS = 128  # answers of one request
MOST_STOPS = 16
MOST_LOGPROBS = 20
COMPLETION_TOKENS = 16  # of an answer whose request names no length, as OpenAI has it
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SHARED = (
    "model",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "logprobs",
    "steering",
)
KNOWN: dict[Endpoint, tuple[str, ...]] = {
    "chat": (*_SHARED, "messages", "max_completion_tokens", "top_logprobs"),
    "completions": (*_SHARED, "prompt", "echo"),
}


@dataclass(frozen=True)
class Service:
    """What a server answers with.

    Attributes:
        name: of the model, for requests.
        lm: the model.
        vectors: what may steer it.
        max_new_tokens: longest answer in a chat whose request names no length.
    """

    name: str
    lm: LanguageModel
    vectors: Vectors
    max_new_tokens: int

    @property
    def context(self) -> int:
        """Most tokens of a prompt and its answer."""
        return int(self.lm.model.config.max_position_embeddings)


@dataclass(frozen=True)
class Prompt:
    """A prompt, as the client gave it and as token ids; the text is None where ids were given."""

    ids: list[int]
    text: str | None = None


@dataclass(frozen=True)
class CompletionRequest:
    """A request that can be answered.

    Attributes:
        endpoint: where it came.
        prompts: one or, of completions, several.
        decodings: of each answer: those to the first prompt, then those to the next.
        steering: vectors and multipliers.
        n: answers to each prompt.
        stream: whether pieces are sent as they come.
        include_usage: whether a stream ends with the counts of tokens.
        echo: whether answers begin with the prompt.
    """

    endpoint: Endpoint
    prompts: Sequence[Prompt]
    decodings: Sequence[DecodingOptions]
    steering: Strengths
    n: int
    stream: bool
    include_usage: bool
    echo: bool


def read_request(service: Service, endpoint: Endpoint, body: Body) -> CompletionRequest:
    """Check a request and tokenize its prompts.

    Raises:
        RequestError: it cannot be answered; names the field.
    """
    fields.check_names(body, KNOWN[endpoint])
    _check_model(service, body.get("model"))
    n = fields.whole(body, "n", 1, MOST_ROWS) or 1
    stream = fields.flag(body, "stream")
    include_usage = _include_usage(body.get("stream_options"), stream)
    echo = endpoint == "completions" and fields.flag(body, "echo")
    steering = service.vectors.chosen(body)
    stop = fields.stops(body, MOST_STOPS)
    temperature = fields.number(body, "temperature", 0, 2, default=0.0)
    top_p = fields.number(body, "top_p", 0, 1, default=1.0)
    if top_p == 0:
        raise RequestError("top_p=0: leaves no token; give a number above 0, or temperature=0", "top_p")
    seed = fields.whole(body, "seed", -(2**63), 2**64 - 1)
    logprobs = _logprobs(endpoint, body)
    prompts = [_chat(service, body)] if endpoint == "chat" else _prompts(service, body)
    if len(prompts) * n > MOST_ROWS:
        raise RequestError(f"n={n}: {len(prompts) * n} answers to {len(prompts)} prompts; ask for {MOST_ROWS} at most", "n")
    scored = echo and logprobs is not None
    sampling = Sampling(seed=secrets.randbits(32) if seed is None else seed)
    decodings = []
    for place, prompt in enumerate(prompts):
        most = _max_tokens(service, endpoint, body, prompt, place if len(prompts) > 1 else None, echo)
        whole = DecodingOptions(most, temperature, top_p, 0, stop, logprobs, scored)
        decodings += [replace(whole, seed=sampling.row_seed(choice, place)) for choice in range(n)]
    return CompletionRequest(endpoint, prompts, decodings, steering, n, stream, include_usage, echo)


def _check_model(service: Service, name: object) -> None:
    if name is not None and name != service.name:
        raise RequestError(f"model={shown(name)}: this server has {service.name}; give that name, or none", "model", 404)


def _include_usage(options: object, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise RequestError(f'stream_options={shown(options)}: give {{"include_usage": true}}, or leave it out', "stream_options")
    if not stream:
        raise RequestError("stream_options: only for stream=true; leave one of them out", "stream_options")
    return fields.flag(options, "include_usage")


def _logprobs(endpoint: Endpoint, body: Body) -> int | None:
    """Return how many of the likeliest tokens are told, None for no probabilities."""
    if endpoint == "completions":
        return fields.whole(body, "logprobs", 0, MOST_LOGPROBS)
    wanted, told = fields.flag(body, "logprobs"), fields.whole(body, "top_logprobs", 0, MOST_LOGPROBS)
    if told is not None and not wanted:
        raise RequestError(f"top_logprobs={told}: only for logprobs=true; leave one of them out", "top_logprobs")
    return (told or 0) if wanted else None


def _max_tokens(service: Service, endpoint: Endpoint, body: Body, prompt: Prompt, place: int | None, echo: bool) -> int:
    """Return the longest answer to a prompt, such that both fit into the model's context."""
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    asked = fields.whole(body, name, 0 if echo else 1, service.context)
    key = "messages" if endpoint == "chat" else "prompt" if place is None else f"prompt[{place}]"
    room = service.context - len(prompt.ids)
    if room < (1 if asked is None else 0):
        told = f"{len(prompt.ids)} tokens, but {service.name} reads {service.context} with the answer"
        raise RequestError(f"{key}: {told}; shorten it", key)
    if asked is None:
        return min(room, service.max_new_tokens if endpoint == "chat" else COMPLETION_TOKENS)
    if asked > room:
        told = f"the prompt has {len(prompt.ids)} tokens, and {service.name} reads {service.context} with the answer"
        raise RequestError(f"{name}={asked}: {told}; give {room} at most, or shorten the prompt", name)
    return asked


def _chat(service: Service, body: Body) -> Prompt:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        form = '[{"role": "user", "content": "..."}]'
        raise RequestError(f"messages={shown(messages)}: no conversation; give a list such as {form}", "messages")
    chat = [_message(message, f"messages[{place}]") for place, message in enumerate(messages)]
    if chat[-1][0] != "user":
        raise RequestError(f"messages: the last one has the role {chat[-1][0]}; end with one of the role user", "messages")
    try:
        return Prompt(service.lm.tokenizer.chat(chat))
    except YapoError as error:
        # without the tokenizer's path, which is no client's business, and with a fix that a client can make
        reason = str(error).partition(": ")[2].rpartition("; ")[0]
        raise RequestError(f"messages: {reason}; give roles that this model's chat template takes", "messages") from None


def _message(message: object, key: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise RequestError(f'{key}={shown(message)}: no message; give {{"role": "user", "content": "..."}}', key)
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise RequestError(f"{key}.role={shown(role)}: choose one of {', '.join(ROLES)}", f"{key}.role")
    if message.get("tool_calls") or message.get("function_call"):
        raise RequestError(f"{key}.tool_calls: this server calls no tools; leave them out", f"{key}.tool_calls")
    if isinstance(content, list):
        return ROLES[role], "".join(_part(part, f"{key}.content[{place}]") for place, part in enumerate(content))
    return ROLES[role], fields.text(content, f"{key}.content")


def _part(part: object, key: str) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        raise RequestError(f'{key}={shown(part)}: only text is read here; give {{"type": "text", "text": "..."}}', key)
    return fields.text(part.get("text"), f"{key}.text")


def _prompts(service: Service, body: Body) -> list[Prompt]:
    given: Any = body.get("prompt")
    single = isinstance(given, str) or (isinstance(given, list) and bool(given) and _is_id(given[0]))
    many = [given] if single else given
    if not isinstance(many, list) or not many:
        raise RequestError(f"prompt={shown(given)}: give a text, a list of token ids, or a list of such", "prompt")
    if len(many) > MOST_ROWS:
        raise RequestError(f"prompt: {len(many)} prompts; give {MOST_ROWS} at most", "prompt")
    return [_prompt(service, part, "prompt" if single else f"prompt[{place}]") for place, part in enumerate(many)]


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _prompt(service: Service, given: object, key: str) -> Prompt:
    if isinstance(given, list):
        size = int(service.lm.model.config.vocab_size)
        for token in given:
            if not _is_id(token) or not 0 <= token < size:
                raise RequestError(f"{key}: {shown(token)} is no token id; give whole numbers from 0 to {size - 1}", key)
        prompt = Prompt(list(given))
    else:
        text = fields.text(given, key)
        prompt = Prompt(service.lm.tokenizer.text(text), text)
    if not prompt.ids:
        raise RequestError(f"{key}: no token; give at least one", key)
    return prompt
