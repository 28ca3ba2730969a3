"""``yapo evaluate``: scores on preference pairs or questions before and after steering."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from yapo.cli.options import Device, Model, NumberType, Sae
from yapo.cli.terminal import libraries
from yapo.config.evaluation import McqMetric, McqWay
from yapo.errors import YapoError, nearest

if TYPE_CHECKING:
    from yapo.api.scores import Score
    from yapo.evaluation.judges import Judge

Answer = Literal["number", "text"]
JudgeName = Literal["offline", "openai", "local"]
OPTIONS_OF_THEIR_OWN = {"name", "model", "base_url"}  # settings of a judge that --judge-set does not take


def evaluate(
    model: Model,
    vector: Annotated[Path, typer.Option(help="A vector's file.")],
    data: Annotated[
        Path,
        typer.Option(
            help="csv, json, jsonl or parquet: prompt, chosen, rejected (pairs); question, options, answer_index (multiple "
            "choice); or question, answer (free answers)."
        ),
    ],
    multiplier: Annotated[float | None, typer.Option("--multiplier", "-m", help="The header's if none.")] = None,
    sae: Sae = None,
    mcq: Annotated[
        McqWay, typer.Option(help="Multiple choice: the likeliest option, or the number written in a box.")
    ] = "likelihood",
    answer: Annotated[Answer, typer.Option(help="What likelihood weighs: an option's number, or its text.")] = "number",
    metric: Annotated[McqMetric, typer.Option(help="Log-probability of an option: whole, per character, per byte.")] = "acc",
    judge: Annotated[
        JudgeName | None, typer.Option(help="Grades free answers; else the right answer must occur in them.")
    ] = None,
    judge_model: Annotated[str, typer.Option(help="Of the judges openai (a name) and local (a folder or hub name).")] = "",
    judge_url: Annotated[str | None, typer.Option(help="Endpoint of the judge openai; its key is $OPENAI_API_KEY.")] = None,
    judge_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Another setting of the judge, such as response_format=text.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer that is written.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Of the random control and of the intervals.")] = 0,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a condition.")] = False,
    dtype: NumberType = "float32",
    device: Device = None,
) -> None:
    """Print scores unsteered, steered, and under a random direction that moves the states as far, with 95 % intervals.

    Example: yapo evaluate --model world/assistant/model --vector v.safetensors --data other_pairs.csv
    """
    if judge is None and (judge_model or judge_url is not None or judge_set):
        raise YapoError("--judge-model, --judge-url and --judge-set: no judge is chosen; give --judge too")
    with libraries():
        from yapo.api.evaluate import evaluate as evaluate_vector
        from yapo.steering.vector import SteeringVector
    found = evaluate_vector(
        model,
        SteeringVector.load(vector),
        data,
        multiplier,
        sae,
        mcq=mcq,
        answer=answer,
        metric=metric,
        judge=None if judge is None else _judge(judge, judge_model, judge_url, judge_set or []),
        max_new_tokens=max_new_tokens,
        seed=seed,
        dtype=dtype,
        device=device,
    )
    for one in found:
        typer.echo(_json(one) if json_lines else _line(one))


def _judge(name: JudgeName, model: str, url: str | None, settings: Sequence[str]) -> Judge:
    """Return the judge; its replies are kept in the user's cache, so that the same answer is asked about once."""
    from yapo.checks import check_types
    from yapo.config import JudgeConfig
    from yapo.errors import require_extra
    from yapo.models.sae_places import cache_folder

    require_extra("study", "sacrebleu", "pydantic")
    from yapo.evaluation.judges import get_judge

    values = asdict(JudgeConfig()) | {"name": name, "model": model, "cache": str(cache_folder() / "judgements")}
    values |= ({} if url is None else {"base_url": url}) | _settings(settings, sorted(values.keys() - OPTIONS_OF_THEIR_OWN))
    check_types("judge.", JudgeConfig, values)
    return get_judge(JudgeConfig(**values))


def _settings(texts: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Return the settings that texts KEY=VALUE give; a value is YAML, and an empty one the empty text."""
    import yaml

    settings = dict[str, Any]()
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise YapoError(f"--judge-set={text}: {nearest(key, known)}give KEY=VALUE, where KEY is one of {', '.join(known)}")
        try:
            settings[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError:
            raise YapoError(
                f"--judge-set={text}: the value is not YAML; write it as in a settings file, such as null or 0.5"
            ) from None
    return settings


def _json(one: Score) -> str:
    """Return a condition's score as a JSON object; null where nothing was scored."""
    scored = {name: None if isinstance(value, float) and isnan(value) else value for name, value in vars(one).items()}
    return json.dumps(scored)


def _line(one: Score) -> str:
    """Return a condition's score as a line."""
    graded = one.measure == "judge"
    factor, unit = (1, "of 10") if graded else (100, "%")
    noun = "pairs" if one.measure == "preference" else "questions"
    unread = f", {one.unread} {'without a grade' if graded else 'without a choice'}" if one.unread else ""
    scored = f"{factor * one.value:5.1f} {unit} [{factor * one.low:.1f}, {factor * one.high:.1f}]"
    return f"{one.condition:<10} {'no score' if isnan(one.value) else scored}  of {one.n} {noun}{unread}"
