"""Completions of raw prompts, and the scores of their tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.serving.conftest import NAME, OTHER, QUESTION
from tests.serving.reference import generated, loaded, log_probs, prompt_ids

IDS = prompt_ids(QUESTION)


def complete(client: OpenAI, prompt: Any, steering: Any = None, **given: Any) -> Any:
    return client.completions.create(model=NAME, prompt=prompt, extra_body={"steering": steering}, **given)


def text_of(ids: list[int]) -> str:
    return str(loaded()[1].decode(ids, skip_special_tokens=True))


def test_prompts_of_every_form(client: OpenAI, sparse: Path) -> None:
    """Token ids, texts, and lists of these; a text is what its tokens are."""
    text = loaded()[1].decode(IDS)
    other = prompt_ids(OTHER)
    wanted = [text_of(generated(ids, [sparse], [3])) for ids in (IDS, other)]
    steering = {"vector": "sparse", "multiplier": 3}
    for prompt in (IDS, text, [IDS], [text]):
        (choice,) = complete(client, prompt, steering, max_tokens=24).choices
        assert choice.text == wanted[0]
    for prompts in ([IDS, other], [text, loaded()[1].decode(other)]):
        assert [choice.text for choice in complete(client, prompts, steering, max_tokens=24).choices] == wanted
    many = complete(client, [IDS, other], steering, max_tokens=24, n=2)
    assert [(choice.index, choice.text) for choice in many.choices] == list(enumerate([wanted[0]] * 2 + [wanted[1]] * 2))
    assert many.usage.prompt_tokens == len(IDS) + len(other)


def test_a_continuation_keeps_its_space(client: OpenAI) -> None:
    """Keep the space before a word that follows the prompt."""
    (choice,) = complete(client, "I would rather", max_tokens=1, echo=True).choices
    assert choice.text.startswith("I would rather ")
    assert choice.finish_reason == "length"


@pytest.mark.parametrize("multiplier", [0, 2.5])
def test_a_prompt_is_scored(client: OpenAI, sparse: Path, multiplier: float) -> None:
    """With the token behind it, and without."""
    answer = generated(IDS, [sparse], [multiplier], most=6)
    ids = IDS + answer
    wanted = log_probs(ids, [sparse], [multiplier])
    steering = {"multiplier": multiplier}
    (more,) = complete(client, ids, steering, max_tokens=1, logprobs=2, echo=True).choices
    (alone,) = complete(client, ids, steering, max_tokens=0, logprobs=2, echo=True).choices
    assert alone.text == text_of(ids)
    assert len(more.logprobs.tokens) == len(ids) + 1
    assert len(alone.logprobs.tokens) == len(ids)
    for found in (more.logprobs, alone.logprobs):
        assert found.token_logprobs[0] is None and found.top_logprobs[0] is None
        expected = wanted[:-1].gather(1, log_index(ids[1:]))[:, 0].tolist()
        assert found.token_logprobs[1 : len(ids)] == pytest.approx(expected, abs=1e-4)
        for place in range(len(IDS), len(ids)):  # of an answer that is the likeliest one
            assert found.token_logprobs[place] == max(found.top_logprobs[place].values())
            assert len(found.top_logprobs[place]) == 2
        assert found.text_offset[:2] == [0, len(found.tokens[0])]


def log_index(ids: list[int]) -> Any:
    import torch

    return torch.tensor(ids)[:, None]


def test_a_completion_is_short_unless_asked(http: httpx2.Client) -> None:
    made = http.post("/v1/completions", json={"prompt": "a", "steering": None, "temperature": 2, "seed": 3}).json()
    assert made["usage"]["completion_tokens"] <= 16


def test_text_that_names_a_control_token_opens_once(http: httpx2.Client) -> None:
    """A prompt that begins with BOS already, as templates of other programs write it, does not get a second one."""
    text = loaded()[1].decode(IDS)
    assert text.startswith("<bos>")
    assert http.post("/v1/completions", json={"prompt": text, "max_tokens": 1}).json()["usage"]["prompt_tokens"] == len(IDS)
