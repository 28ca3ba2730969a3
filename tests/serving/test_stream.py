"""Streams of server-sent events: the pieces of an answer as they come, and their end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.serving.conftest import NAME, OTHER, QUESTION, running
from tests.serving.reference import answer, generated, prompt_ids
from yapo.models.language_model import LanguageModel
from yapo.serving.engine import Engine
from yapo.serving.requests import Service


def streamed(client: OpenAI, **given: Any) -> Iterator[Any]:
    body = {"model": NAME, "messages": [{"role": "user", "content": QUESTION}], **given}
    return iter(client.chat.completions.create(stream=True, **body))


def test_pieces_join_to_the_answer(client: OpenAI, sparse: Path) -> None:
    tokens = generated(prompt_ids(QUESTION), [sparse], [2])
    options = {"include_usage": True}
    *chunks, usage = streamed(client, extra_body={"steering": {"multiplier": 2}}, stream_options=options)
    assert chunks[0].choices[0].delta.role == "assistant"
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(parts) == answer(QUESTION, [sparse], [2])
    assert len([part for part in parts if part]) == len(tokens) - 1  # the last one ends the turn
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk.id for chunk in chunks} == {usage.id}
    assert usage.choices == [] and usage.usage.completion_tokens == len(tokens)


def test_several_answers_share_a_stream(client: OpenAI) -> None:
    given: dict[str, Any] = {"n": 3, "temperature": 2, "seed": 5, "messages": [{"role": "user", "content": OTHER}]}
    texts = ["", "", ""]
    for chunk in streamed(client, **given):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    whole = client.chat.completions.create(model=NAME, **given)
    assert texts == [choice.message.content for choice in whole.choices]


def test_characters_of_several_tokens_come_whole(http: httpx2.Client) -> None:
    """Samples of this model hold bytes of many scripts; what is streamed is what the answer at once holds."""
    body = {"prompt": "日本 🎉", "max_tokens": 60, "temperature": 2, "top_p": 1, "seed": 4, "echo": True, "steering": None}
    whole = http.post("/v1/completions", json=body).json()["choices"][0]["text"]
    with http.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    parts = [json.loads(line)["choices"][0]["text"] for line in lines[:-1]]
    assert "".join(parts) == whole and whole.startswith("日本 🎉")
    assert len(parts) > 20


def test_logprobs_are_streamed(client: OpenAI) -> None:
    found: list[Any] = []
    for chunk in streamed(client, logprobs=True, top_logprobs=1, extra_body={"steering": None}):
        if chunk.choices[0].logprobs is not None:
            found += chunk.choices[0].logprobs.content
    given = {"messages": [{"role": "user", "content": QUESTION}], "logprobs": True, "top_logprobs": 1}
    whole = client.chat.completions.create(model=NAME, **given, extra_body={"steering": None})
    assert [one.token for one in found] == [one.token for one in whole.choices[0].logprobs.content]
    assert [one.logprob for one in found] == pytest.approx([one.logprob for one in whole.choices[0].logprobs.content], abs=1e-5)


def endless(lm: LanguageModel) -> LanguageModel:
    """The same model with no token that ends an answer."""
    tokenizer = copy(lm.tokenizer)
    tokenizer.end_of_turn, tokenizer.eos = -1, frozenset()
    found = copy(lm)
    found.tokenizer = tokenizer
    return found


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_decoding(service: Service, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    engines: list[Engine] = []
    begin = Engine.__enter__
    monkeypatch.setattr(Engine, "__enter__", lambda engine: engines.append(engine) or begin(engine))
    body = {"prompt": "one", "max_tokens": 500, "temperature": 2, "seed": 0, "stream": stream, "n": 16}
    with running(replace(service, lm=endless(service.lm))) as url, httpx2.Client(base_url=url) as client:
        (engine,) = engines
        if stream:
            with client.stream("POST", "/v1/completions", json=body) as response:
                next(response.iter_lines())
        else:
            with pytest.raises(httpx2.ReadTimeout):
                client.post("/v1/completions", json=body, timeout=0.2)
        until = time.monotonic() + 5
        while engine.rows and time.monotonic() < until:
            time.sleep(0.01)
        assert not engine.rows
        made = client.post("/v1/completions", json={"prompt": "one", "max_tokens": 1}).json()
        assert made["usage"]["completion_tokens"] == 1
