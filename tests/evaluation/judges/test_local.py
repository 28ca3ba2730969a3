"""A model of this machine as judge: the embedded world's, which cannot judge, and says so by being unscored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges import Judgement, Request, get_judge
from yapo.evaluation.judges.local import LocalJudge

from .conftest import answers

WORLD = Path(__file__).resolve().parents[3] / "world" / "model"
GOOD = '```json\n{"reason": "fits", "language": 2, "factual": 3, "cultural": 1, "content": 0}\n```'


def configured(tmp_path: Path, **changes: object) -> JudgeConfig:
    settings = {"name": "local", "model": str(WORLD), "max_tokens": 4, "batch_size": 2, "cache": str(tmp_path / "cache")}
    return JudgeConfig(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_model_that_cannot_judge_leaves_answers_unscored(tmp_path: Path) -> None:
    judge = get_judge(configured(tmp_path))
    assert judge.judge(answers(3) + answers(1)) == [Judgement(None)] * 4
    report = judge.report()
    assert (report["answers"], report["distinct"], report["unscored"], report["requests"]) == (4, 3, 3, 3)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "cache").rglob("*.json")]
    assert {record["answer"] for record in records} == {"answer 0", "answer 1", "answer 2"}
    assert all(0 < record["tokens_output"] <= 4 < record["tokens_input"] for record in records)
    assert all(isinstance(record["reply"], str) for record in records)


def test_a_readable_reply_is_scored_and_not_asked_for_again(tmp_path: Path) -> None:
    judge, (request, *_) = LocalJudge(configured(tmp_path)), answers(1)
    judge.cache.write(judge.cache.key(judge.chat(request)), request, GOOD, 700, 40)
    assert judge.judge([request]) == [Judgement(6.0, {"language": 2, "factual": 3, "cultural": 1, "content": 0})]
    assert judge.report()["requests"] == 0
    assert judge.report()["with_cached"] == {"tokens": {"input": 700, "output": 40}, "cost": None}


def test_batches_write_what_single_answers_do(tmp_path: Path) -> None:
    requests = [Request("q" * n, "gold", "answer" * n) for n in (1, 5, 2)]
    replies = []
    for batch_size in (1, 3):
        judge = LocalJudge(configured(tmp_path / str(batch_size), batch_size=batch_size))
        judge.judge(requests)
        kept = [judge.cache.read(judge.cache.key(judge.chat(request))) for request in requests]
        replies.append([record.reply for record in kept if record])
    assert replies[0] == replies[1]
    assert len(replies[0]) == 3


def test_weights_and_settings_are_in_the_key(tmp_path: Path) -> None:
    def key(**changes: object) -> str:
        judge = LocalJudge(configured(tmp_path, **changes))
        return judge.cache.key(judge.chat(answers(1)[0]))

    assert len({key(), key(max_tokens=5), key(dtype="float16")}) == 3
    assert key(batch_size=1) == key()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"^judge.model=/nowhere: no such folder"):
        get_judge(configured(tmp_path, model="/nowhere"))
