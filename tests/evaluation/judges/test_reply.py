"""One answer that an endpoint cannot deal with, an endpoint that can deal with none, and replies that are read all the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from yapo.config import JudgeConfig
from yapo.errors import YapoError
from yapo.evaluation.judges import Judgement, Request
from yapo.evaluation.judges.openai_judge import _PROBE, IN_A_ROW, OpenAIJudge
from yapo.evaluation.judges.reply import read_reply
from yapo.evaluation.judges.rubric import Grades

from .conftest import KEY, answers
from .endpoint import Endpoint, Response, grades, parts_of, refuses, says

Configure = Callable[..., JudgeConfig]
GRADES: Grades = {"language": 2, "factual": 3, "cultural": 3, "content": 2}
DRAFT = json.dumps(dict.fromkeys(GRADES, 0))


def body(**content: Any) -> Response:
    return Response(json.dumps(content).encode())


def choice(message: object, **more: Any) -> Response:
    return body(choices=[{"index": 0, "finish_reason": "stop", "message": message, **more}], usage={"prompt_tokens": 1})


def error(status: int, message: str, **more: Any) -> Response:
    return Response(json.dumps({"error": {"message": message, **more}}).encode(), status)


# The endpoint sends this for one answer, however often it is asked, and no reply with it.
NO_REPLY = {
    "no choices": body(choices=[]),
    "choices are null": body(choices=None),
    "no choices at all": body(object="chat.completion"),
    "choices of another type": body(choices={"0": 1}),
    "a choice of another type": body(choices=["text"]),
    "message null": choice(None),
    "no message": body(choices=[{"finish_reason": "stop"}]),
    "message of another type": choice("text"),
    "content a number": choice({"content": 7}),
    "content an object": choice({"content": GRADES}),
    "content true": choice({"content": True}),
    "an error in a 200": body(error={"message": "provider returned error", "code": 502}),
    "an error without code in a 200": body(error="something went wrong"),
    "a moderation error in a 200": body(error={"message": "input flagged", "code": 403}),
    "an error in a choice": choice({"content": ""}, error={"code": 400, "message": "flagged"}),
    "a list": Response(b"[]"),
    "null": Response(b"null"),
    "truncated JSON": Response(b'{"choices": [{"message": {"cont'),
    "a page": Response(b"<html>welcome</html>", 200, {"Content-Type": "text/html"}),
    "bytes of no text": Response(b"\xff\xfe\x00"),
    "nested without end": Response(b'{"choices":' * 5000),
    "an empty body": Response(b""),
    "invalid prompt": refuses(400, "invalid_prompt", "flagged as violating our usage policy"),
    "content filter": refuses(400, "content_filter", "filtered"),
    "context length": refuses(400, "context_length_exceeded", "maximum context length is 4096 tokens"),
    "context length, vLLM": error(400, "This model's maximum context length is 4096 tokens", code=400, type="BadRequestError"),
    "context length, detail": Response(b'{"detail": "too long"}', 400),
    "bad request of plain text": Response(b"bad request", 400),
    "moderated by the gateway": error(403, "input was flagged", code=403, metadata={"reasons": ["violence"]}),
    "forbidden by a firewall": Response(b"<html>Access denied</html>", 403, {"Content-Type": "text/html"}),
    "too large": refuses(413),
    "not processable": refuses(422, None, "bad characters"),
    "legal reasons": refuses(451),
    "out of order": refuses(500, None, "CUDA error"),
    "no gateway": Response(b"<html>bad gateway</html>", 502, {"Content-Type": "text/html"}),
    "overloaded": refuses(529),
    "too many tokens a minute": refuses(429, "rate_limit_exceeded", "Request too large: limit 10000, requested 30000"),
    "failed dependency": refuses(424),
    "given up": refuses(499),
    "cut off": says("cut", cut=True),
    "not what its header says": Response(b"not gzip", 200, {"Content-Encoding": "gzip"}),
}
# A reply came, but no grades can be taken from it.
NO_GRADES = {
    "empty content": says(""),
    "null content": says(None),
    "no content": choice({}),
    "refused": choice({"content": None, "refusal": "I can't help with that."}),
    "refused with grades": choice({"content": None, "refusal": json.dumps(GRADES)}),
    "no parts": choice({"content": []}),
    "parts of other types": choice({"content": [{"type": "image_url"}, 3, None, {"type": "text", "text": 4}]}),
    "only a thought as part": choice({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}]}),
    "only reasoning beside it": choice({"content": None, "reasoning_content": json.dumps(GRADES)}),
    "cut off, a draft is whole": choice({"content": f"First {DRAFT} but on second th"}, finish_reason="length"),
    "cut off by its filter": choice({"content": json.dumps(GRADES)}, finish_reason="content_filter"),
    "cut off in the object": choice({"content": '{"language": 2, "factual": 3, "cult'}, finish_reason="length"),
    "cut off in a thought": says(f"<think>Perhaps {DRAFT}, or"),
    "a number": says("7"),
    "NaN for a grade": says(json.dumps({**GRADES, "factual": float("nan")})),
    "two opinions": says(json.dumps(GRADES) + DRAFT),
    "braces without end": says("{" * 50_000),
    "objects without end": says('{"a" ' * 5_000),
    "an end that UTF-8 cannot hold": choice({"content": "mumble"}, finish_reason="\ud800"),
    "a call of a tool": choice({"content": None, "tool_calls": [{"id": "1"}]}, finish_reason="tool_calls"),
}
CASES = NO_REPLY | NO_GRADES


def expected(request: Request) -> Judgement:
    parts = parts_of(request.completion)
    return Judgement(float(sum(parts.values())), parts)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.rglob("*.json")]


def test_a_bad_item_is_unscored_and_the_rest_goes_on(configure: Configure, tmp_path: Path) -> None:
    good = answers(len(CASES) + 1)
    bad = [Request("q", "gold", name) for name in CASES]
    requests = [request for pair in zip(good[1:], bad, strict=True) for request in pair]
    with Endpoint({name: [response] * 8 for name, response in CASES.items()}) as endpoint:
        judge = OpenAIJudge(configure(endpoint.url, concurrency=8))
        judged = dict(zip((request.completion for request in requests), judge.judge(requests), strict=True))
        assert {name for name in CASES if judged[name] != Judgement(None)} == set()
        assert [judged[request.completion] for request in good[1:]] == [expected(request) for request in good[1:]]
        assert judge.report()["unscored"] == len(CASES)
        assert judge.report()["requests"] == len(endpoint.sent)
        asked = len(endpoint.sent)
        judge.judge(requests)
        assert len(endpoint.sent) == asked  # not again while this judge lives
        kept = {record["answer"] for record in records(tmp_path / "cache")}
        assert kept == {request.completion for request in good[1:]} | set(NO_GRADES)
        # The next run asks again, for them alone, also where no other answer is to be asked.
        later = OpenAIJudge(configure(endpoint.url))
        assert later.judge(good[1:]) == [expected(request) for request in good[1:]]
        assert len(endpoint.sent) == asked
        assert later.judge([bad[0]]) == [Judgement(None)]
        endpoint.script.clear()
        assert OpenAIJudge(configure(endpoint.url)).judge(bad) == [expected(request) for request in bad]


class Shared(NamedTuple):
    """One endpoint and one judge for a whole table: making a client takes longer than asking."""

    endpoint: Endpoint
    judge: OpenAIJudge
    cache: Path

    def ask(self, name: str, responses: list[Response]) -> tuple[list[Request], str]:
        """Have one answer for each response judged; the answers, and what the error says."""
        requests = [Request(name, "gold", f"{name} {i}") for i in range(len(responses))]
        self.endpoint.script.update({r.completion: [response] * 8 for r, response in zip(requests, responses, strict=True)})
        with pytest.raises(YapoError) as caught:
            self.judge.judge(requests)
        return requests, str(caught.value)


def share(folder: Path) -> Iterator[Shared]:
    with Endpoint() as endpoint:
        quick = {"api_key_env": "", "backoff_s": 0.01, "max_retries": 1, "concurrency": 1}
        config = JudgeConfig(name="openai", model="grader", base_url=endpoint.url, cache=str(folder), **quick)  # type: ignore[arg-type]
        yield Shared(endpoint, OpenAIJudge(config), folder)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Its judge is never given a reply."""
    yield from share(tmp_path_factory.mktemp("silent"))


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    yield from share(tmp_path_factory.mktemp("working"))


@pytest.mark.parametrize("name", NO_REPLY)
def test_an_endpoint_that_replies_to_no_answer_stops_in_one_sentence(silent: Shared, name: str) -> None:
    requests, said = silent.ask(name, [NO_REPLY[name]] * 2)
    assert re.match(r"judge.model=grader, judge.base_url=http.*, for all 2 answers asked; ", said)
    assert "\n" not in said and "0 answers are judged and kept" in said
    assert [path for path in silent.cache.rglob("*") if path.is_file()] == []
    assert set(silent.endpoint.asked()) >= {request.completion for request in requests}


def test_many_failures_in_a_row_are_the_endpoints(configure: Configure) -> None:
    requests = answers(4 * IN_A_ROW)
    with Endpoint({request.completion: [error(403, "no more")] for request in requests[3:]}) as endpoint:
        with pytest.raises(YapoError, match=rf"status 403 .*, for {IN_A_ROW} answers in a row; check the key .* 3 answers are"):
            OpenAIJudge(configure(endpoint.url, concurrency=1)).judge(requests)
        assert 3 + IN_A_ROW <= len(endpoint.sent) < len(requests)


def test_answers_that_the_endpoint_names_may_be_many(configure: Configure) -> None:
    requests = answers(IN_A_ROW + 5)
    script = {request.completion: [refuses(400, "content_filter")] for request in requests[3:]}
    with Endpoint(script) as endpoint:
        judged = OpenAIJudge(configure(endpoint.url)).judge(requests)
    assert [judgement.score is None for judgement in judged] == [False] * 3 + [True] * (IN_A_ROW + 2)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (refuses(401, "invalid_api_key"), "status 401 .*check the key"),
        (refuses(403, "invalid_api_key"), "status 403 .*check the key"),
        (refuses(402), "status 402 .*top up"),
        (refuses(404, "model_not_found", "no such model"), "status 404 .*judge.model"),
        (refuses(405), "status 405 .*judge.base_url"),
        (refuses(410), "status 410 .*judge.base_url"),
        (refuses(400, "unsupported_parameter", "no seed"), "status 400 .*judge.parameters"),
        (refuses(400, "model_not_found"), "status 400 .*judge.parameters"),
        (refuses(429, "insufficient_quota"), "status 429 .*top up"),
        (refuses(503, None, "maintenance", Retry_After="inf"), "status 503 .*try later"),
        (body(error={"message": "bad key", "code": 401}), "with an error, status 401 .*check the key"),
        (body(error={"message": "no credit", "code": 402}), "with an error, status 402 .*top up"),
        (body(error={"message": "no credit", "code": "insufficient_quota"}), "insufficient_quota .*top up"),
    ],
    ids=str,
)
def test_a_failure_of_the_endpoint_stops_at_once(working: Shared, response: Response, said: str) -> None:
    served = grades(GRADES)
    requests, told = working.ask(said, [served, served, response, served])
    assert re.search(said, told)
    assert "answers are judged and kept" in told and "\n" not in told
    asked = [working.endpoint.asked()[request.completion] for request in requests]
    assert asked[:2] == [1, 1] and asked[3] == 0
    working.endpoint.script.clear()
    assert [judgement.score for judgement in working.judge.judge(requests[:2])] == [10.0, 10.0]


@pytest.mark.parametrize(("left", "often"), [(9, ", for 3 answers in a row"), (2, ", for 2 answers"), (1, "")])
def test_an_endpoint_that_goes_down_is_told_from_answers_that_it_fails_on(configure: Configure, left: int, often: str) -> None:
    requests, down = answers(3 + left), refuses(503, None, "down for the night")
    failing = {request.completion: [down] * 8 for request in requests[3:]}
    with Endpoint(failing | {_PROBE.completion: [down]}) as endpoint:
        judge = OpenAIJudge(configure(endpoint.url, concurrency=1, max_retries=1))
        with pytest.raises(
            YapoError, match=rf"status 503 \(down for the night\){often}; try later.* 3 answers are judged and kept"
        ):
            judge.judge(requests)
        assert 0 <= len(endpoint.sent) - (3 + 2 * min(left, 3) + (left < 3)) <= 2 * (left > 3)  # one may be under way
        endpoint.script.pop(_PROBE.completion, None)
        later = OpenAIJudge(configure(endpoint.url, concurrency=1, max_retries=1)).judge(requests[:5])
    assert [judgement.score is None for judgement in later] == [False] * 3 + [True] * len(requests[3:5])


def test_a_reply_without_end_is_cut() -> None:
    endless = choice({"content": json.dumps(GRADES) + " " * 2_000_000})
    assert read_reply(endless.body, JudgeConfig())[:2] == ((json.dumps(GRADES) + " " * 2_000_000)[:1_000_000], "length")


def usage(**counts: Any) -> Response:
    return body(choices=[{"message": {"content": json.dumps(GRADES)}}], usage=counts)


@pytest.mark.parametrize(
    ("response", "tokens"),
    [
        (usage(prompt_tokens=None, completion_tokens=None), (0, 0)),
        (usage(prompt_tokens=100.0, completion_tokens=10.7), (100, 10)),
        (usage(prompt_tokens="100", completion_tokens=True), (0, 0)),
        (usage(prompt_tokens=float("nan"), completion_tokens=float("inf")), (0, 0)),
        (usage(prompt_tokens=-5), (0, 0)),
        (usage(prompt_tokens=10**400, completion_tokens=7), (0, 7)),
        (body(choices=[{"message": {"content": json.dumps(GRADES)}}]), (0, 0)),
        (body(choices=[{"message": {"content": json.dumps(GRADES)}}], usage=[1]), (0, 0)),
        (body(choices=[{"message": {"content": json.dumps(GRADES)}}], error=None), (0, 0)),
        (choice({"content": [{"type": "text", "text": json.dumps(GRADES)}]}), (1, 0)),
        (choice({"content": [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": json.dumps(GRADES)}]}), (1, 0)),
        (choice({"content": ["{", json.dumps(GRADES)[1:]]}), (1, 0)),
        (choice({"content": json.dumps(GRADES), "reasoning_content": DRAFT}, finish_reason=None), (1, 0)),
        (choice({"content": json.dumps(GRADES), "refusal": None, "role": None}, finish_reason=3), (1, 0)),
    ],
)
def test_whatever_stands_beside_them_grades_are_read(configure: Configure, response: Response, tokens: tuple[int, int]) -> None:
    with Endpoint({"answer 0": [response]}) as endpoint:
        judge = OpenAIJudge(configure(endpoint.url))
        assert judge.judge(answers(1)) == [Judgement(10.0, GRADES)]
        assert judge.report()["tokens"] == {"input": tokens[0], "output": tokens[1]}
        assert len(endpoint.sent) == 1


@pytest.mark.parametrize(
    "ends",
    [
        {"finish_reason": "length"},
        {"finish_reason": "MAX_TOKENS"},
        {"finish_reason": "content_filter: SAFETY"},
        {"finish_reason": "stop", "native_finish_reason": "max_tokens"},
    ],
    ids=str,
)
def test_a_reply_that_was_cut_off_is_kept_as_such_and_never_read(
    configure: Configure, tmp_path: Path, ends: dict[str, str]
) -> None:
    cut = choice({"content": f"A draft {DRAFT}"}, **ends)
    with Endpoint({"answer 0": [cut, cut]}) as endpoint:
        assert OpenAIJudge(configure(endpoint.url)).judge(answers(2))[0] == Judgement(None)
        assert {record["finish"] for record in records(tmp_path / "cache")} == {[*ends.values()][-1], "stop"}
        assert OpenAIJudge(configure(endpoint.url)).judge(answers(2)) == [expected(request) for request in answers(2)]
        assert endpoint.asked() == {"answer 0": 3, "answer 1": 1}


def test_a_second_request_that_fails_leaves_the_first_reply(configure: Configure, tmp_path: Path) -> None:
    with Endpoint({"answer 0": [says("mumble"), refuses(400, "invalid_prompt")]}) as endpoint:
        judge = OpenAIJudge(configure(endpoint.url))
        assert judge.judge(answers(2))[0] == Judgement(None)
        assert judge.report()["requests"] == len(endpoint.sent) == 3
    assert "mumble" in {record["reply"] for record in records(tmp_path / "cache")}


@pytest.mark.parametrize(
    "said",
    [
        KEY,
        KEY.upper(),
        f"{KEY}{KEY}",
        f"Bearer {KEY}",
        f"https://me:{KEY}@host/v1",
        "https://me:hunter2@host/v1",
        "?api_key=hunter2",
    ],
)
def test_a_key_in_a_reply_is_redacted_before_it_is_kept(
    configure: Configure, tmp_path: Path, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = says(json.dumps(GRADES | {"reason": said}))
    refused = refuses(400, "invalid_prompt", "x" * 285 + said, X_Echo=said)
    with Endpoint(
        {"answer 0": [told], "answer 1": [choice({"content": said}, finish_reason=said)] * 2, "answer 2": [refused]}
    ) as endpoint:
        judge = OpenAIJudge(configure(endpoint.url))
        assert [judgement.score for judgement in judge.judge(answers(3))] == [10.0, None, None]
        (again,) = [sent for sent in endpoint.sent if len(sent.body["messages"]) > 2]
    shown = json.dumps([judge.report(), records(tmp_path / "cache"), again.body]) + caplog.text
    assert not any(secret in shown.lower() for secret in (KEY, KEY[:12], "hunter2"))
    assert "***" in shown


def test_a_text_that_utf8_cannot_hold_is_judged(configure: Configure) -> None:
    with Endpoint({"c\udfff": [grades(GRADES)]}) as endpoint:
        (judged,) = OpenAIJudge(configure(endpoint.url)).judge([Request("q\ud800", "g", "c\udfff")])
        assert judged.score == 10.0
        assert OpenAIJudge(configure(endpoint.url)).judge([Request("q\ud800", "g", "c\udfff")]) == [judged]
        assert len(endpoint.sent) == 1
