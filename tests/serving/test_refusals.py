"""Requests that cannot be answered: a status, OpenAI's form of an error, and a sentence with the field, the value and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.serving.conftest import NAME, running
from yapo.serving import app
from yapo.serving.requests import Service

CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
TEXT = {"prompt": "hello", "max_tokens": 1}
INFINITE = float("inf")


def chat(**changes: Any) -> tuple[str, Any]:
    return "/v1/chat/completions", {**CHAT, **changes}


def text(**changes: Any) -> tuple[str, Any]:
    return "/v1/completions", {**TEXT, **changes}


def message(**parts: Any) -> tuple[str, Any]:
    return chat(messages=[parts])


# Request, status, field, parts of the sentence.
BAD: dict[str, tuple[tuple[str, Any], int, str | None, tuple[str, ...]]] = {
    "no messages": (chat(messages=None), 400, "messages", ("messages=None: no conversation", '[{"role": "user"')),
    "empty messages": (chat(messages=[]), 400, "messages", ("messages=[]: no conversation",)),
    "a message that is a text": (chat(messages=["hi"]), 400, "messages[0]", ("messages[0]='hi': no message",)),
    "a wrong role": (
        message(role="robot", content="hi"),
        400,
        "messages[0].role",
        ("messages[0].role='robot'", "choose one of system, developer, user, assistant"),
    ),
    "a role that is a list": (message(role=["user"], content="hi"), 400, "messages[0].role", ("choose one of",)),
    "a role that the template lacks": (
        chat(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]),
        400,
        "messages",
        ("the chat template refuses the roles system, user (System role not supported)",),
    ),
    "the model's turn last": (
        chat(messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello"}]),
        400,
        "messages",
        ("the last one has the role assistant", "end with one of the role user"),
    ),
    "no content": (message(role="user"), 400, "messages[0].content", ("messages[0].content=None: no text",)),
    "an image": (
        message(role="user", content=[{"type": "image_url", "image_url": {"url": "http://example.org/x.png"}}]),
        400,
        "messages[0].content[0]",
        ("only text is read here",),
    ),
    "half a character": (message(role="user", content="\ud800"), 400, "messages[0].content", ("holds half a character",)),
    "a long chat": (
        message(role="user", content="a " * 600),
        400,
        "messages",
        ("tokens, but assistant reads 512", "shorten it"),
    ),
    "a long prompt": (text(prompt=["a", [1] * 513]), 400, "prompt[1]", ("prompt[1]: 513 tokens, but assistant reads 512",)),
    "an answer beyond the context": (chat(max_tokens=512), 400, "max_tokens", ("max_tokens=512: the prompt has", "at most")),
    "no tokens": (chat(max_tokens=0), 400, "max_tokens", ("max_tokens=0: give a whole number from 1 to 512",)),
    "half a token": (
        chat(max_completion_tokens=1.5),
        400,
        "max_completion_tokens",
        ("=1.5: no whole number",),
    ),
    "huge n": (chat(n=1000000), 400, "n", ("n=1000000: give a whole number from 1 to 128",)),
    "many answers together": (text(prompt=["a"] * 64, n=3), 400, "n", ("192 answers to 64 prompts", "128 at most")),
    "hot": (chat(temperature=3), 400, "temperature", ("temperature=3: give a number from 0 to 2",)),
    "a temperature in words": (chat(temperature="hot"), 400, "temperature", ("temperature='hot': give a number",)),
    "an infinite temperature": (chat(temperature=INFINITE), 400, "temperature", ("temperature=inf: give a number",)),
    "no share": (chat(top_p=0), 400, "top_p", ("top_p=0: leaves no token",)),
    "a seed in words": (chat(seed="one"), 400, "seed", ("seed='one': no whole number",)),
    "a stream in words": (chat(stream="yes"), 400, "stream", ("stream='yes': give true or false",)),
    "options without a stream": (chat(stream_options={}), 400, "stream_options", ("only for stream=true",)),
    "empty stop": (chat(stop=""), 400, "stop", ("empty text",)),
    "a stop that is a number": (chat(stop=[1]), 400, "stop", ("stop=1: no text",)),
    "many stops": (chat(stop=["a"] * 17), 400, "stop", ("17 texts; give 16 at most",)),
    "many likeliest tokens": (chat(logprobs=True, top_logprobs=21), 400, "top_logprobs", ("from 0 to 20",)),
    "likeliest tokens without probabilities": (chat(top_logprobs=2), 400, "top_logprobs", ("only for logprobs=true",)),
    "tools": (chat(tools=[{"type": "function"}]), 400, "tools", ("this server does not do that; leave it out",)),
    "a penalty": (chat(presence_penalty=1), 400, "presence_penalty", ("presence_penalty=1: this server does not do that",)),
    "a misspelt field": (chat(temprature=0), 400, "temprature", ("temprature: unknown field; did you mean temperature?",)),
    "a field of the other endpoint": (chat(prompt="hi"), 400, "prompt", ("prompt: unknown field",)),
    "another model": (chat(model="gpt-4"), 404, "model", (f"model='gpt-4': this server has {NAME}",)),
    "an unknown vector": (
        chat(steering={"vector": "spares"}),
        404,
        "steering.vector",
        ("steering.vector=spares: unknown vector; did you mean sparse?", "choose among sparse, dense"),
    ),
    "a path": (chat(steering={"vector": "../sparse.safetensors"}), 404, "steering.vector", ("unknown vector",)),
    "a vector that is a number": (chat(steering={"vector": 1}), 400, "steering.vector", ("steering.vector=1: no name",)),
    "steering in words": (chat(steering="sparse"), 400, "steering", ("steering='sparse': no object", '{"vector": "NAME"')),
    "an unknown part of steering": (chat(steering={"lambda": 1}), 400, "steering", ("steering.lambda: unknown field",)),
    "a multiplier in words": (
        chat(steering={"multiplier": "2"}),
        400,
        "steering.multiplier",
        ("='2': not a finite",),
    ),
    "an infinite multiplier": (
        chat(steering={"multiplier": INFINITE}),
        400,
        "steering.multiplier",
        ("=inf: not a finite",),
    ),
    "a multiplier of many digits": (chat(steering={"multiplier": 10**400}), 400, "steering.multiplier", ("not a finite number",)),
    "a multiplier beyond float32": (chat(steering={"multiplier": 1e300}), 400, "steering.multiplier", ("beyond float32",)),
    "a multiplier in a list": (
        chat(steering={"vector": ["dense", {"vector": "sparse", "multiplier": True}]}),
        400,
        "steering.vector[1].multiplier",
        ("steering.vector[1].multiplier=True: not a finite number",),
    ),
    "many vectors": (chat(steering={"vector": ["dense"] * 17}), 400, "steering.vector", ("17 vectors; give 16 at most",)),
    "no prompt": (text(prompt=None), 400, "prompt", ("prompt=None: give a text",)),
    "an empty prompt": (text(prompt=""), 400, "prompt", ("prompt: no token",)),
    "an empty list of prompts": (text(prompt=[]), 400, "prompt", ("prompt=[]: give a text",)),
    "many prompts": (text(prompt=["a"] * 129), 400, "prompt", ("129 prompts; give 128 at most",)),
    "a token that is none": (text(prompt=[1, 1536]), 400, "prompt", ("1536 is no token id; give whole numbers from 0 to 1535",)),
    "a text among tokens": (text(prompt=[1, "a"]), 400, "prompt", ("'a' is no token id",)),
    "a number among texts": (text(prompt=["a", 1]), 400, "prompt[1]", ("prompt[1]=1: no text",)),
    "a list instead of an object": (("/v1/completions", [1]), 400, None, ("the body is [1]; give a JSON object",)),
    "a path that is not there": (("/v1/embeddings", {}), 404, None, ("POST /v1/embeddings: Not Found; see /v1/models",)),
    "a method that is not there": (("/v1/models", {}), 405, None, ("POST /v1/models: Method Not Allowed",)),
}


def check(response: httpx2.Response, status: int, field: str | None, parts: tuple[str, ...]) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, status, field), error
    assert [part for part in parts if part not in error["message"]] == [], error["message"]
    assert "\n" not in error["message"] and "Traceback" not in response.text


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_told_why(http: httpx2.Client, case: str) -> None:
    (path, body), status, field, parts = BAD[case]
    sent = json.dumps(body).encode()  # as Python writes it, with Infinity
    check(http.post(path, content=sent, headers={"Content-Type": "application/json"}), status, field, parts)


BODIES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "nothing": (b"", ("the body is no JSON",)),
    "half an object": (b'{"prompt": ', ("the body is no JSON",)),
    "other bytes": (b"\xff\xfe{}", ("the body is no JSON",)),
    "a name twice": (b'{"prompt": "a", "prompt": "b"}', ("names 'prompt' twice",)),
    "a number of many digits": (b'{"seed": ' + b"1" * 5000 + b"}", ("the body is no JSON",)),
    "deep": (b"[" * 100_000, ("nested too deeply",)),
    "a name of half a character": (b'{"\\ud800": 1}', ("unknown field",)),
    "a model of half a character": (b'{"model": "\\ud800"}', ("this server has",)),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_told_why(http: httpx2.Client, case: str) -> None:
    content, parts = BODIES[case]
    response = http.post("/v1/completions", content=content, headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.status_code in (400, 404)
    assert [part for part in parts if part not in response.json()["error"]["message"]] == []


def test_a_large_body_is_not_read(http: httpx2.Client) -> None:
    content = b'{"prompt": "' + b"a" * app.LARGEST_BODY + b'"}'
    response = http.post("/v1/completions", content=content, headers={"Content-Type": "application/json"})
    check(response, 413, None, ("the body is larger than 4194304 bytes; send a shorter one",))


def test_a_form_is_refused(http: httpx2.Client) -> None:
    """A page of another site can make a browser send one without asking."""
    response = http.post("/v1/completions", content=json.dumps(TEXT), headers={"Content-Type": "text/plain"})
    check(response, 415, None, ("Content-Type 'text/plain': send application/json",))


def test_the_client_library_reads_the_errors(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="unknown vector") as raised:
        client.completions.create(model=NAME, prompt="a", extra_body={"steering": {"vector": "x"}})
    assert raised.value.param == "steering.vector"


@pytest.fixture(scope="module")
def guarded(service: Service) -> Iterator[httpx2.Client]:
    """A server that asks for a key, and answers to one name."""
    with running(service, "the-right-key", ("127.0.0.1",)) as url, httpx2.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize("given", [None, "Bearer the-wrong-key", "Bearer", "the-right-key", "Basic the-right-key", "Bearer é"])
def test_a_wrong_key_is_refused(guarded: httpx2.Client, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    for response in (guarded.get("/v1/models", headers=headers), guarded.post("/v1/completions", json=TEXT, headers=headers)):
        check(response, 401, None, ("the API key is missing or wrong; send the server's as a bearer token",))
        assert "the-right-key" not in response.text
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert guarded.get("/health").json() == {"status": "ok"}


def test_the_right_key_is_taken(guarded: httpx2.Client) -> None:
    right = OpenAI(base_url=f"{guarded.base_url}/v1", api_key="the-right-key", max_retries=0)
    assert right.completions.create(model=NAME, prompt="a", max_tokens=1).usage is not None


def test_another_host_name_is_refused(guarded: httpx2.Client) -> None:
    """A web page may give its own name this machine's address."""
    headers = {"Authorization": "Bearer the-right-key", "Host": "evil.example:80"}
    check(guarded.get("/v1/models", headers=headers), 400, None, ("Host 'evil.example': this server answers to 127.0.0.1",))


def test_a_fault_of_the_model_ends_its_request_alone(
    http: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("Traceback")

    with monkeypatch.context() as patched:
        patched.setattr(service.lm.model.model, "forward", fails)
        check(http.post("/v1/completions", json=TEXT), 500, None, ("the model failed (RuntimeError); try another request",))
        with http.stream("POST", "/v1/completions", json={**TEXT, "stream": True}) as response:
            (line,) = [line for line in response.iter_lines() if line]
        assert json.loads(line.removeprefix("data: "))["error"]["code"] == 500
    assert http.post("/v1/completions", json=TEXT).status_code == 200


def test_a_server_without_vectors(service: Service) -> None:
    from yapo.serving.vectors import Vectors

    bare = Service(NAME, service.lm, Vectors(), 8)
    with running(bare) as url, httpx2.Client(base_url=url) as client:
        assert client.post("/v1/completions", json=TEXT).status_code == 200
        told = ("this server was started without a vector; start it with --vector NAME=FILE",)
        for steering in ({"vector": "sparse"}, {"multiplier": 1}):
            response = client.post("/v1/completions", json={**TEXT, "steering": steering})
            assert told[0] in response.json()["error"]["message"]
        assert client.post("/v1/completions", json={**TEXT, "steering": {}}).status_code == 200
