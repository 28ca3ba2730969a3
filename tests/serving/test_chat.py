"""Chat completions, as OpenAI's own client asks for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

import yapo
from tests.serving.conftest import NAME, OTHER, QUESTION
from tests.serving.reference import answer, generated, loaded, log_probs, prompt_ids


def ask(client: OpenAI, question: str = QUESTION, steering: Any = ..., **given: Any) -> ChatCompletion:
    extra = {} if steering is ... else {"extra_body": {"steering": steering}}
    done = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": question}], **extra, **given)
    assert isinstance(done, ChatCompletion)
    return done


def said(done: ChatCompletion) -> str:
    content = done.choices[0].message.content
    assert content is not None
    return content


def test_the_default_vector_steers_at_its_own_multiplier(client: OpenAI, sparse: Path) -> None:
    done = ask(client)
    assert said(done) == answer(QUESTION, [sparse], [yapo.load_vector(sparse).info.multiplier])
    assert said(done) != answer(QUESTION, [sparse], [0])
    assert done.choices[0].finish_reason == "stop"
    tokens = generated(prompt_ids(QUESTION), [sparse], [yapo.load_vector(sparse).info.multiplier])
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (len(prompt_ids(QUESTION)), len(tokens))


@pytest.mark.parametrize("steering", [None, {"vector": None}, {"multiplier": 0}, {"vector": "sparse", "multiplier": 0.0}])
def test_unsteered_is_the_model_bit_for_bit(client: OpenAI, sparse: Path, steering: Any) -> None:
    done = ask(client, steering=steering, logprobs=True, top_logprobs=2)
    assert said(done) == answer(QUESTION, [sparse], [0])
    assert done.choices[0].logprobs is not None and done.choices[0].logprobs.content is not None
    first = done.choices[0].logprobs.content[0]
    values, _ = log_probs(prompt_ids(QUESTION), [sparse], [0], last=1)[0].topk(2)
    assert [top.logprob for top in first.top_logprobs] == values.tolist()
    assert first.logprob == values[0].item()


STEERING: dict[str, tuple[Any, list[str], list[float]]] = {
    "by name": ({"vector": "dense", "multiplier": 3}, ["dense"], [3]),
    "the default at another multiplier": ({"multiplier": -2}, ["sparse"], [-2]),
    "two": (
        {"vector": [{"vector": "sparse", "multiplier": 1.5}, {"vector": "dense", "multiplier": -1}]},
        ["sparse", "dense"],
        [1.5, -1],
    ),
    "two of one multiplier": ({"vector": ["dense", "sparse"], "multiplier": 1}, ["dense", "sparse"], [1, 1]),
    "one twice": ({"vector": ["sparse", "sparse"], "multiplier": 1}, ["sparse", "sparse"], [1, 1]),
}


@pytest.mark.parametrize("case", STEERING)
def test_steering_of_a_request(client: OpenAI, dense: Path, sparse: Path, case: str) -> None:
    steering, names, multipliers = STEERING[case]
    files = {"dense": dense, "sparse": sparse}
    wanted = answer(OTHER, [files[name] for name in names], multipliers)
    assert said(ask(client, OTHER, steering)) == wanted


def test_requests_at_once_get_what_each_gets_alone(client: OpenAI, sparse: Path) -> None:
    """Questions of different lengths under different multipliers, more of them than are decoded together."""
    asked = [(question, multiplier) for question in (QUESTION, OTHER, "Hello!") for multiplier in (-3, 0, 1, 2, 3)]
    with ThreadPoolExecutor(len(asked)) as threads:
        done = list(threads.map(lambda one: said(ask(client, one[0], {"multiplier": one[1]})), asked))
    assert done == [answer(question, [sparse], [multiplier]) for question, multiplier in asked]
    assert len(set(done)) > 5


def test_an_answer_ends_at_its_length(client: OpenAI, sparse: Path) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        done = ask(client, steering=None, **{name: 3})
        assert said(done) == answer(QUESTION, [sparse], [0], most=3)
        assert done.choices[0].finish_reason == "length"
        assert done.usage is not None and done.usage.completion_tokens == 3


@pytest.mark.parametrize("stop", ["insurance", ["never said", "for free"], "."])
def test_an_answer_ends_before_a_stop_text(client: OpenAI, sparse: Path, stop: Any) -> None:
    whole = answer(QUESTION, [sparse], [0])
    done = ask(client, steering=None, stop=stop)
    assert said(done) == whole[: whole.index(stop if isinstance(stop, str) else stop[1])]
    assert done.choices[0].finish_reason == "stop"


def test_samples_follow_from_the_seed(client: OpenAI) -> None:
    given: dict[str, Any] = {"temperature": 2, "n": 8, "steering": None}
    first, again, other = ([choice.message.content for choice in ask(client, **given, seed=seed).choices] for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) > 1
    narrow = ask(client, **given, seed=1, top_p=1e-6)
    assert {choice.message.content for choice in narrow.choices} == {said(ask(client, steering=None))}


def test_a_conversation_goes_on(client: OpenAI, sparse: Path) -> None:
    turns = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "No."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Would you like "}, {"type": "text", "text": "to own a gas field?"}],
        },
    ]
    done = client.chat.completions.create(model=NAME, messages=turns)  # type: ignore[call-overload]
    ids = loaded()[1].apply_chat_template([*turns[:2], {"role": "user", "content": OTHER}], add_generation_prompt=True)[
        "input_ids"
    ]
    tokens = generated(ids, [sparse], [yapo.load_vector(sparse).info.multiplier])
    assert done.choices[0].message.content == loaded()[1].decode(tokens, skip_special_tokens=True)


def test_the_model_and_its_vectors_are_listed(client: OpenAI, sparse: Path) -> None:
    (model,) = client.models.list().data
    assert model.id == NAME == client.models.retrieve(NAME).id
    described = model.to_dict()
    assert described["default_vector"] == "sparse"
    first, second = described["vectors"]  # type: ignore[misc]
    assert first == {"name": "sparse", "method": "yapo", "layer": 2, "multiplier": yapo.load_vector(sparse).info.multiplier}  # type: ignore[has-type]
    assert second["name"] == "dense"  # type: ignore[has-type]
