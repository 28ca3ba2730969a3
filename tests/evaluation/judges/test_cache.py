"""Replies on disk: what decides a key, damage, crashes, and jobs that share a folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges import Request
from yapo.evaluation.judges.cached import ReplyCache
from yapo.evaluation.judges.openai_judge import OpenAIJudge
from yapo.evaluation.judges.rubric import CULTURE

from .conftest import answers
from .endpoint import Endpoint, parts_of

Configure = Callable[..., JudgeConfig]
JOB = """
import json, signal, sys
from yapo.config import JudgeConfig
from yapo.evaluation.judges import Request, get_judge
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
settings, requests = json.load(sys.stdin)
print([j.score for j in get_judge(JudgeConfig(**settings)).judge([Request(*r) for r in requests])])
"""


def job(config: JudgeConfig, requests: list[Request]) -> subprocess.Popen[str]:
    """A process that judges; its standard input is written and closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", JOB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    json.dump([vars(config), [[r.question, r.gold, r.completion] for r in requests]], process.stdin)
    process.stdin.close()
    process.stdin = None
    return process


def scores(requests: list[Request]) -> list[float]:
    return [float(sum(parts_of(request.completion).values())) for request in requests]


@pytest.mark.slow
def test_processes_that_share_a_folder_ask_for_each_answer_once(configure: Configure) -> None:
    requests = answers(20)
    with Endpoint(delay=0.1) as endpoint:
        jobs = [job(configure(endpoint.url), part) for part in (requests[:15], requests[5:][::-1])]
        replies = [process.communicate(timeout=60)[0] for process in jobs]
        assert [json.loads(reply) for reply in replies] == [scores(requests[:15]), scores(requests[5:][::-1])]
        assert set(endpoint.asked().values()) == {1}
        assert len(endpoint.sent) == 20


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_job_that_ends_early_loses_at_most_what_was_under_way(configure: Configure, tmp_path: Path, how: int) -> None:
    requests, cache = answers(30), tmp_path / "cache"
    with Endpoint(delay=0.1) as endpoint:
        process = job(configure(endpoint.url), requests)
        deadline = time.monotonic() + 60
        while len(list(cache.glob("*/*.json"))) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(how)
        process.communicate(timeout=60)
        while endpoint.busy:
            time.sleep(0.01)
        kept = len([path for path in cache.glob("*/*.json") if not path.name.startswith(".")])
        assert 0 < kept < 30
        # A killed job cannot wait for the four replies under way; an interrupted one does.
        assert kept == len(endpoint.sent) if how == signal.SIGINT else len(endpoint.sent) - kept <= 4
        judge = OpenAIJudge(configure(endpoint.url))
        assert [judgement.score for judgement in judge.judge(requests)] == scores(requests)
        assert judge.report()["from_cache"] == kept
        assert set(endpoint.asked()) == {request.completion for request in requests}
        assert len(endpoint.sent) <= 30 + 4


def test_everything_that_decides_a_reply_is_in_its_key(configure: Configure, tmp_path: Path) -> None:
    def key(request: Request = Request("q", "g", "c"), url: str = "http://here/v1", **changes: object) -> str:  # noqa: B008
        judge = OpenAIJudge(configure(url, **changes))
        return judge.cache.key(judge.chat(request))

    keys = [
        key(),
        key(Request("Q", "g", "c")),
        key(Request("q", "G", "c")),
        key(Request("q", "g", "C")),
        key(url="http://there/v1"),
        key(model="other"),
        key(parameters={"temperature": 0.5, "seed": 0}),
        key(parameters={"temperature": 0.0, "seed": 1}),
        key(max_tokens=50),
        key(response_format="text"),
        key(system_turn=False),
    ]
    assert len(set(keys)) == len(keys)
    same = key(concurrency=1, timeout_s=1.0, max_retries=0, backoff_s=3.0, price_input=1.0, cache=str(tmp_path / "elsewhere"))
    assert same == keys[0]


def test_a_key_depends_on_every_word_of_the_rubric(tmp_path: Path) -> None:
    cache, asked = ReplyCache(tmp_path, {"model": "m"}, CULTURE.schema), CULTURE.messages(Request("q", "g", "c"))
    reworded = [{**asked[0], "content": asked[0]["content"].replace("fluent", "flawless")}, asked[1]]
    assert reworded != asked
    assert cache.key(reworded) != cache.key(asked)


def test_a_record_says_whose_it_is_and_what_was_asked(configure: Configure, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        OpenAIJudge(configure(endpoint.url)).judge([Request("سؤال", "جواب", "चाय")])
        (path,) = (tmp_path / "cache").rglob("*.json")
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["judge"]["model"] == "grader"
        assert record["judge"]["base_url"] == endpoint.url
    assert (record["question"], record["expected_answer"], record["answer"]) == ("سؤال", "جواب", "चाय")
    assert json.loads(record["reply"])["reason"] == "because"
    assert (record["tokens_input"], record["tokens_output"]) == (100, 10)
    assert "चाय" in path.read_text(encoding="utf-8")


def flipped(text: bytes) -> bytes:
    """One bit of a grade, as a worn disk changes it."""
    return text.replace(b'\\"reason\\"', b'\\"reasoN\\"')


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "a list": lambda _: b"[1]",
    "null": lambda _: b"null",
    "no text": lambda _: b"\xff\xfe",
    "zeros": lambda whole: bytes(len(whole)),
    "a number for the reply": lambda _: b'{"reply": 3}',
    "nothing in it": lambda _: b"{}",
    "a bit flipped": flipped,
    "another answer": lambda whole: whole.replace(b"answer 1", b"answer 2"),
    "tokens as text": lambda whole: whole.replace(b'"tokens_input": 100', b'"tokens_input": "many"'),
    "nested without end": lambda _: b'{"judge":' * 5000,
    "huge number": lambda whole: whole.replace(b"100", b"1" + b"0" * 5000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_asked_for_again(configure: Configure, tmp_path: Path, damage: str) -> None:
    requests = answers(3)
    with Endpoint() as endpoint:
        OpenAIJudge(configure(endpoint.url)).judge(requests)
        (path,) = (path for path in (tmp_path / "cache").rglob("*.json") if b'"answer 1"' in path.read_bytes())
        whole = path.read_bytes()
        path.write_bytes(DAMAGE[damage](whole))
        assert path.read_bytes() != whole
        judge = OpenAIJudge(configure(endpoint.url))
        assert [judgement.score for judgement in judge.judge(requests)] == scores(requests)
        assert judge.report()["from_cache"] == 2
        assert path.read_bytes() == whole
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".json"] * 3


def test_a_record_of_another_key_is_not_taken(configure: Configure, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        OpenAIJudge(configure(endpoint.url)).judge(answers(2))
        one, other = sorted((tmp_path / "cache").rglob("*.json"))
        one.write_bytes(other.read_bytes())
        assert [judgement.score for judgement in OpenAIJudge(configure(endpoint.url)).judge(answers(2))] == scores(answers(2))
        assert len(endpoint.sent) == 3


def test_a_record_of_an_earlier_release_is_read(configure: Configure, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        OpenAIJudge(configure(endpoint.url)).judge(answers(1))
        (path,) = (tmp_path / "cache").rglob("*.json")
        kept = json.loads(path.read_text())
        del kept["digest"], kept["finish"]
        path.write_text(json.dumps(kept))
        assert [judgement.score for judgement in OpenAIJudge(configure(endpoint.url)).judge(answers(1))] == scores(answers(1))
        assert len(endpoint.sent) == 1


def file_as_folder(cache: Path, _: str) -> None:
    cache.write_text("a file")


def file_under_folder(cache: Path, _: str) -> None:
    cache.parent.joinpath("file").write_text("a file")
    cache.symlink_to(cache.parent / "file" / "cache")


def link_to_nothing(cache: Path, _: str) -> None:
    cache.symlink_to(cache.parent / "gone")


def file_as_part(cache: Path, key: str) -> None:
    cache.mkdir()
    (cache / key[:2]).write_text("a file")


def folder_as_record(cache: Path, key: str) -> None:
    (cache / key[:2] / f"{key}.json").mkdir(parents=True)


def folder_as_lock(cache: Path, key: str) -> None:
    (cache / key[:2] / f"{key}.lock").mkdir(parents=True)


def loop(cache: Path, _: str) -> None:
    cache.symlink_to(cache)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (file_as_folder, r"made \(File exists\)"),
        (file_under_folder, r"made \(.*\)"),
        (link_to_nothing, r"made \(File exists\)"),
        (file_as_part, r"read at .* \(Not a directory\)"),
        (folder_as_record, r"read at .*json \(Is a directory\)"),
        (folder_as_lock, r"written at .*lock \(Is a directory\)"),
        (loop, r"made \(.*\)"),
    ],
)
def test_a_folder_that_cannot_be_used(configure: Configure, tmp_path: Path, make: Callable[[Path, str], None], said: str) -> None:
    (request,) = answers(1)
    with Endpoint() as endpoint:
        config = configure(endpoint.url, cache=str(tmp_path / "used"))
        probe = OpenAIJudge(configure(endpoint.url, cache=str(tmp_path / "probe")))
        make(tmp_path / "used", probe.cache.key(probe.chat(request)))
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(YapoError, match=rf"^judge.cache=.*used: cannot be {said}; name a folder you may write to$"):
            OpenAIJudge(config).judge([request])
        assert endpoint.sent == []
    assert sorted(tmp_path.rglob("*")) == before
