"""Settings of decoding, judges, general knowledge and the report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, get_args

from yapo.checks import (
    Dtype,
    Setting,
    Task,
    check_path,
    check_seed,
    check_settings_finite,
    check_words,
    distinct,
    host_of,
    require,
)
from yapo.redaction import holds_secret

# Fetching, keeping and pricing of a judge's replies. No score depends on these, so changing them should rerun nothing.
JUDGE_MEANS = (
    "api_key_env",
    "concurrency",
    "batch_size",
    "timeout_s",
    "max_retries",
    "backoff_s",
    "max_wait_s",
    "cache",
    "price_input",
    "price_output",
)


McqWay = Literal["boxed", "likelihood"]
McqMetric = Literal["acc", "acc_norm", "acc_bytes"]


@dataclass
class LikelihoodConfig:
    """Multiple choice by the log-probability of each option's answer; the names are lm-eval's."""

    answer: Literal["number", "text"] = "number"  # number: boxed, after question and options; text: after the question alone
    metric: McqMetric = "acc"  # log-probability; per character; per byte of UTF-8

    def __post_init__(self) -> None:
        check_words("generation.likelihood", self)

    @property
    def form(self) -> Task:
        """The form in which a question is asked: with its options for numbers, without them for texts."""
        return "mcq" if self.answer == "number" else "open_ended"


@dataclass
class GenerationConfig:
    """Greedy decoding, the same for every method and the baseline, and what else answers multiple choice."""

    max_new_tokens_mcq: int = 8
    max_new_tokens_open_ended: int = 24
    mcq: list[McqWay] = field(default_factory=lambda: ["boxed"])  # the first decides; the others are tested and shown beside it
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)

    def __post_init__(self) -> None:
        require(bool(self.mcq), "generation.mcq", self.mcq, f"name at least one of {', '.join(get_args(McqWay))}")
        distinct("generation.mcq", self.mcq)
        check_words("generation", self)
        require(self.max_new_tokens_mcq > 0, "generation.max_new_tokens_mcq", self.max_new_tokens_mcq, "at least 1")
        require(
            self.max_new_tokens_open_ended > 0,
            "generation.max_new_tokens_open_ended",
            self.max_new_tokens_open_ended,
            "at least 1",
        )

    def max_new_tokens(self, task: Task) -> int:
        """Limit of one completion."""
        return self.max_new_tokens_mcq if task == "mcq" else self.max_new_tokens_open_ended

    def by_likelihood(self, task: Task) -> bool:
        """Tell whether a task is answered by comparing options, not by writing."""
        return task == "mcq" and self.mcq[0] == "likelihood"

    def form(self, task: Task) -> Task:
        """Return the form that a task is asked in: without options where their texts are weighed."""
        return self.likelihood.form if self.by_likelihood(task) else task

    def label(self, way: McqWay) -> str:
        """Name a way to answer multiple choice, for tables."""
        if way == "boxed":
            return "boxed number"
        return f"likelihood of the {self.likelihood.answer} ({self.likelihood.metric})"


@dataclass
class JudgeConfig:
    """The judge of open-ended answers; docs/judges.md explains the keys after ``name``."""

    name: Literal["offline", "openai", "local"] = "offline"  # openai: any endpoint that speaks its protocol; local: a model here
    model: str = ""  # openai: the endpoint's name for it; local: a folder or hub id
    max_tokens: int = 400  # longest reply
    base_url: str = "https://api.openai.com/v1"  # openai
    response_format: Literal["json_schema", "json_object", "text"] = "json_schema"  # openai: the most the endpoint can do
    system_turn: bool = True  # openai: false where the model knows no system role (Gemma 2): the user's turn holds all
    parameters: dict[str, Any] = field(default_factory=lambda: {"temperature": 0.0, "seed": 0})  # openai: sent as they are
    dtype: Dtype = "float32"  # local
    api_key_env: str = "OPENAI_API_KEY"  # openai: the variable that holds the key; empty: the endpoint asks for none
    concurrency: int = 8  # openai: requests under way at once, in one job
    batch_size: int = 8  # local: answers of one forward pass
    timeout_s: float = 60.0  # openai: longest wait for one reply
    max_retries: int = 8  # openai: after 429, 5xx, a timeout or a cut connection
    backoff_s: float = 1.0  # openai: first wait before a retry; doubles each time
    max_wait_s: float = 120.0  # openai: longest wait; an endpoint that asks for more stops the run
    cache: str = "results/judgements"  # shared by all studies and jobs
    price_input: float | None = None  # openai: of a million tokens, for the report; null: unknown
    price_output: float | None = None

    def __post_init__(self) -> None:
        check_words("judge", self)
        require(
            self.name == "offline" or bool(self.model.strip()), "judge.model", self.model, f"name the model of judge {self.name}"
        )
        require(not holds_secret(self.model), "judge.model", "...", "is a key; give the name of a model")
        require(self.max_tokens > 0, "judge.max_tokens", self.max_tokens, "at least 1")
        _check_address("judge.base_url", self.base_url)
        _check_fields("judge.parameters", self.parameters)
        named = not self.api_key_env or re.fullmatch(r"[A-Za-z_]\w{0,63}", self.api_key_env, re.ASCII)
        rule = "give the name of the environment variable that holds the key, not the key"
        require(bool(named) and not holds_secret(self.api_key_env), "judge.api_key_env", "...", rule)
        for key, count in (("concurrency", self.concurrency), ("batch_size", self.batch_size)):
            require(count > 0, f"judge.{key}", count, "at least 1")
        for key, seconds in (("timeout_s", self.timeout_s), ("backoff_s", self.backoff_s), ("max_wait_s", self.max_wait_s)):
            require(0 < seconds <= 86_400, f"judge.{key}", seconds, "a positive number of seconds, at most a day")
        require(self.max_retries >= 0, "judge.max_retries", self.max_retries, "0 or more")
        require(bool(self.cache.strip()), "judge.cache", self.cache, "name a folder to keep replies in")
        check_path("judge.cache", self.cache)
        for key, price in (("price_input", self.price_input), ("price_output", self.price_output)):
            require(price is None or 0 <= price < inf, f"judge.{key}", price, "0 or more, or null")


def _check_address(key: str, url: str) -> None:
    """Refuse what is no address of a server, without showing one that holds a password or key."""
    bare = not any(mark in url for mark in "@?#") and not holds_secret(url)
    require(bare, key, "...", "no user, password or query, and no key")
    require(url.startswith(("http://", "https://")), key, url, "must begin with http(s)://")
    require(host_of(url) is not None and "\\" not in url, key, url, "not an address; write http(s)://HOST:PORT/PATH")


def _check_fields(key: str, fields: dict[str, Any]) -> None:
    """Refuse fields of a request that the judge itself sets or cannot use, keys, and values that JSON does not have."""
    for name, value in fields.items():
        field_key = f"{key}.{name}"
        require(isinstance(name, str), field_key, value, "not a text before the colon; put it in quotes")
        require(name not in ("messages", "model"), field_key, value, "the judge sets it; leave it out")
        require(name != "stream" or not value, field_key, value, "replies are read whole; leave it out")
        secret = re.search(r"api[_-]?key|authorization|secret|password|token$", name, re.IGNORECASE)
        rule = "keys stand in no file; name the variable that holds it in judge.api_key_env"
        require(not secret and not holds_secret(str(value)), field_key, "...", rule)
        if isinstance(value, dict):
            _check_fields(field_key, value)
        else:
            check_settings_finite(field_key, value)


@dataclass
class KnowledgeConfig:
    """General knowledge before and after steering, by lm-eval; see docs/knowledge.md."""

    tasks: list[str] = field(default_factory=lambda: ["culture_mcq", "culture_open_ended"])  # lm-eval's names, and our own
    vector_task: Task = "open_ended"  # of the vectors that answer
    vector_setting: Setting = "both"
    num_fewshot: int | None = None  # examples in each prompt; null: what each task says
    chat_template: bool = True
    limit: int | None = None  # the first questions of each task only; null: all
    batch_size: int = 16
    seed: int = 0  # of the examples, for tasks that draw them

    def __post_init__(self) -> None:
        require(bool(self.tasks), "knowledge.tasks", self.tasks, "name at least one")
        require(len(set(self.tasks)) == len(self.tasks), "knowledge.tasks", self.tasks, "name each once")
        check_words("knowledge", self)
        shots = self.num_fewshot
        require(shots is None or shots >= 0, "knowledge.num_fewshot", shots, "0 or more, or null")
        require(self.limit is None or self.limit > 0, "knowledge.limit", self.limit, "at least 1, or null")
        require(self.batch_size > 0, "knowledge.batch_size", self.batch_size, "at least 1")
        check_seed("knowledge.seed", self.seed)


@dataclass
class ReportConfig:
    """Tables and figures."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        require(self.resamples >= 100, "report.resamples", self.resamples, "at least 100")
        check_seed("report.seed", self.seed)
        require(0 < self.confidence < 1, "report.confidence", self.confidence, "between 0 and 1")
