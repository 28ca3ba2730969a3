"""Settings of the judge, and what a judge is called."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from yapo.config import JUDGE_MEANS, JudgeConfig
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.evaluation.judges.label import judge_label


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "gpt"}, "judge.name=gpt: choose one of offline, openai, local"),
        ({"name": "openai"}, "judge.model=: name the model of judge openai"),
        ({"name": "local"}, "judge.model=: name the model of judge local"),
        ({"base_url": "api.openai.com"}, "judge.base_url=api.openai.com: must begin with http"),
        ({"base_url": "https://me:secret@host/v1"}, "judge.base_url=...: no user, password or query"),
        ({"base_url": "https://host/v1?key=secret"}, "judge.base_url=...: no user, password or query"),
        ({"base_url": "me:secret@host/v1"}, "judge.base_url=...: no user, password or query"),
        ({"base_url": "ftp://me:secret@host/v1"}, "judge.base_url=...: no user, password or query"),
        ({"base_url": "https://host/v1#secret"}, "judge.base_url=...: no user, password or query"),
        ({"base_url": "https://host/sk-secret-0123456789/v1"}, "judge.base_url=...: no user, password or query, and no key"),
        ({"base_url": ""}, "judge.base_url=: must begin with http"),
        ({"base_url": "http://"}, "judge.base_url=http://: not an address"),
        ({"base_url": "https:///v1"}, "judge.base_url=https:///v1: not an address"),
        ({"base_url": "http://host:99999/v1"}, "judge.base_url=http://host:99999/v1: not an address"),
        ({"base_url": "http://host:port/v1"}, "judge.base_url=http://host:port/v1: not an address"),
        ({"base_url": "http://[::1/v1"}, "judge.base_url=http://[::1/v1: not an address"),
        ({"base_url": "http://a..b/v1"}, "judge.base_url=http://a..b/v1: not an address"),
        ({"base_url": f"http://{'a' * 70}/v1"}, "a/v1: not an address"),
        ({"base_url": "http://h\u200b/v1"}, "judge.base_url=http://h\u200b/v1: not an address"),
        ({"model": "sk-secret-0123456789"}, "judge.model=...: is a key; give the name of a model"),
        ({"base_url": "http://my host/v1"}, "judge.base_url=http://my host/v1: not an address"),
        ({"base_url": "http://host/v1\n"}, "judge.base_url=http://host/v1\\n: not an address"),
        ({"name": "openai", "model": " "}, "judge.model= : name the model"),
        ({"api_key_env": "sk-secret-0123456789"}, "judge.api_key_env=...: give the name of the environment variable"),
        ({"api_key_env": "gsk_secret0123456789abcdef"}, "judge.api_key_env=...: give the name of the environment variable"),
        ({"api_key_env": "secret" * 20}, "judge.api_key_env=...: give the name of the environment variable"),
        ({"api_key_env": "MY SECRET"}, "judge.api_key_env=...: give the name of the environment variable"),
        ({"parameters": {"messages": []}}, "judge.parameters.messages=[]: the judge sets it"),
        ({"parameters": {"model": "m"}}, "judge.parameters.model=m: the judge sets it"),
        ({"parameters": {"stream": True}}, "judge.parameters.stream=True: replies are read whole"),
        ({"parameters": {"temperature": float("nan")}}, "judge.parameters.temperature=nan: give a finite number"),
        ({"parameters": {"x": {"y": float("inf")}}}, "judge.parameters.x.y=inf: give a finite number"),
        ({"parameters": {"stop": [float("nan")]}}, "judge.parameters.stop=nan: give a finite number"),
        ({"parameters": {1: 2}}, "judge.parameters.1=2: not a text before the colon; put it in quotes"),
        ({"parameters": {"api_key": "secret"}}, "judge.parameters.api_key=...: keys stand in no file"),
        ({"parameters": {"extra": {"Authorization": "secret"}}}, "judge.parameters.extra=...: keys stand in no file"),
        ({"parameters": {"user": "Bearer secret0123456789"}}, "judge.parameters.user=...: keys stand in no file"),
        ({"cache": ""}, "judge.cache=: name a folder"),
        ({"cache": "~/judged"}, "judge.cache=~/judged: ~ is not read here"),
        ({"cache": "a{b}"}, "judge.cache='a{b}': use a path without braces"),
        ({"cache": "a\0b"}, "judge.cache='a\\x00b': use a path without braces and line ends"),
        ({"timeout_s": 1e308}, "judge.timeout_s=1e+308: a positive number of seconds, at most a day"),
        ({"timeout_s": float("inf")}, "judge.timeout_s=inf: a positive number"),
        ({"timeout_s": float("nan")}, "judge.timeout_s=nan: a positive number"),
        ({"max_wait_s": float("inf")}, "judge.max_wait_s=inf: a positive number"),
        ({"price_input": float("nan")}, "judge.price_input=nan: 0 or more"),
        ({"price_output": float("inf")}, "judge.price_output=inf: 0 or more"),
        ({"response_format": "xml"}, "judge.response_format=xml: choose one of json_schema"),
        ({"dtype": "int8"}, "judge.dtype=int8"),
        ({"max_tokens": 0}, "judge.max_tokens=0: at least 1"),
        ({"concurrency": 0}, "judge.concurrency=0: at least 1"),
        ({"batch_size": 0}, "judge.batch_size=0: at least 1"),
        ({"timeout_s": 0.0}, "judge.timeout_s=0.0: a positive number"),
        ({"backoff_s": -1.0}, "judge.backoff_s=-1.0: a positive number"),
        ({"max_wait_s": 0.0}, "judge.max_wait_s=0.0: a positive number"),
        ({"max_retries": -1}, "judge.max_retries=-1: 0 or more"),
        ({"price_input": -0.1}, "judge.price_input=-0.1: 0 or more"),
        ({"price_output": -0.1}, "judge.price_output=-0.1: 0 or more"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(YapoError) as caught:
        JudgeConfig(**settings)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "secret" not in str(caught.value).lower() and "\n" not in str(caught.value)


def test_labels_name_model_and_place() -> None:
    assert "chrF" in judge_label(JudgeConfig())
    assert "offline" in judge_label(JudgeConfig())
    hosted = JudgeConfig(name="openai", model="grader-2", base_url="https://gateway.example.org:8443/v1")
    assert judge_label(hosted) == "judge grader-2 at gateway.example.org"
    assert judge_label(JudgeConfig(name="local", model="Org/Grader-7B")) == "judge Grader-7B, local"


def test_endpoints_are_chosen_on_the_command_line() -> None:
    words = [
        "judge=openai",
        "judge.base_url=http://localhost:8000/v1",
        "judge.model=m",
        "judge.api_key_env=''",
        "judge.price_input=null",
    ]
    judge = compose([*words, "judge.parameters.seed=null", "judge.concurrency=32"]).judge
    assert (judge.name, judge.model, judge.api_key_env, judge.concurrency, judge.price_input) == ("openai", "m", "", 32, None)
    assert judge.parameters == {"temperature": 0.0, "seed": None}
    assert compose(["judge=local"]).judge.dtype == "bfloat16"


def test_means_are_settings() -> None:
    assert set(JUDGE_MEANS) < {field.name for field in fields(JudgeConfig)}


def test_every_setting_is_explained() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "judges.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(JudgeConfig) if field.name != "name" and f"`judge.{field.name}`" not in page] == []
