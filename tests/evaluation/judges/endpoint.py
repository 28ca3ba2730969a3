"""An endpoint on this machine that speaks the chat-completions protocol over HTTP, and misbehaves where it is told to."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from yapo.evaluation.judges.rubric import Grades


@dataclass(frozen=True)
class Response:
    """An answer of the endpoint; ``cut``: it closes the connection half-way."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


def says(text: str | None, **more: Any) -> Response:
    """A chat completion with this text, 100 tokens in and 10 out."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    body = {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}
    return Response(json.dumps(body).encode(), **more)


def grades(parts: Grades, **more: Any) -> Response:
    """A reply as the judge should write it."""
    return says(json.dumps({"reason": "because", **parts}), **more)


def refuses(status: int, code: str | None = None, message: str = "no", **headers: str) -> Response:
    """An error as the protocol words it."""
    error = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Response(json.dumps(error).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def parts_of(answer: str) -> Grades:
    """The grades that this endpoint gives an answer: some grades, always the same."""
    a, b, c, d = hashlib.sha256(answer.encode()).digest()[:4]
    return {"language": a % 3, "factual": b % 4, "cultural": c % 4, "content": d % 3}


@dataclass(frozen=True)
class Sent:
    """A request that reached the endpoint."""

    answer: str
    body: dict[str, Any]
    authorization: str
    at: float


class Endpoint(ThreadingHTTPServer):
    """Grades answers. ``script`` says for some of them what it does the first times it is asked; then it behaves.

    ``reply`` gives its replies where they are no grades; what is asked for is then known by the question.

    Attributes:
        sent: every request, in order of arrival.
        served: how often each answer was graded, the whole response sent.
        busiest: the most requests under way at once.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        script: Mapping[str, Sequence[Response]] | None = None,
        delay: float = 0.0,
        reply: Callable[[str], Response] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply or (lambda answer: grades(parts_of(answer), delay=delay))
        self.script = {answer: list(responses) for answer, responses in (script or {}).items()}
        self.lock = threading.Lock()
        self.sent: list[Sent] = []
        self.served: Counter[str] = Counter()
        self.busy = self.busiest = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def asked(self) -> Counter[str]:
        """Number of requests for each answer."""
        return Counter(sent.answer for sent in self.sent)

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to report."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = answer_in(body["messages"])
        server = self.server
        with server.lock:
            server.sent.append(Sent(answer, body, self.headers["Authorization"], time.monotonic()))
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            planned = server.script.get(answer)
            response = planned.pop(0) if planned else server.reply(answer)
        try:
            time.sleep(response.delay)
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body[: len(response.body) // 2] if response.cut else response.body)
            self.close_connection = response.cut
        finally:
            with server.lock:
                server.busy -= 1
                server.served[answer] += response.status == 200 and not response.cut

    def log_message(self, format: str, *args: object) -> None:
        """Tests read ``sent``."""


def answer_in(messages: list[dict[str, str]]) -> str:
    """The answer to grade, or the first of two, or the question where there is none.

    It is read from the data block of the first user's turn, as a judge would.
    """
    lines = next(turn for turn in messages if turn["role"] == "user")["content"].split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("BEGIN DATA "))
    begin, line, end = lines[start : start + 3]
    assert begin.removeprefix("BEGIN DATA ") == end.removeprefix("END DATA ")
    data = json.loads(line)
    return next(str(data[name]) for name in ("answer_to_grade", "first_answer", "question") if name in data)
