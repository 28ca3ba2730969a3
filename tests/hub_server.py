"""A hub on the loopback address: the parts of the Hugging Face protocol that downloading uses, served from folders."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name ("datasets/" before those of data), all at one commit of branch main.

    Attributes:
        repos: the folder of each.
        gated: tokens that may read, of each repository with a licence to accept.
        broken: files whose sending stops half-way.
        status: what every request is answered with, where it is not 200.
        asked: every request, in order.
    """

    repos: dict[str, Path] = field(default_factory=dict)
    gated: dict[str, set[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    status: int = 200
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Answer until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def environment(home: Path, hub: Hub | None, **variables: str) -> dict[str, str]:
    """Variables of a process whose hub and cache are these; without a hub, nothing answers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
    place = {"HF_HOME": str(home), "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9", "HF_HUB_ETAG_TIMEOUT": "2"}
    return {**kept, **place, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}


def python(code: str, home: Path, hub: Hub | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    settings = environment(home, hub, **variables)
    return subprocess.run([sys.executable, "-c", code], env=settings, cwd=ROOT, capture_output=True, text=True, check=False)


def put_in_cache(home: Path, repo: str, files: Path, commit: str = COMMIT, kind: str = "models") -> Path:
    """Put a repository, or another commit of it, into the hub's cache, laid out as its client does; returns the snapshot."""
    folder = home / "hub" / f"{kind}--{repo.replace('/', '--')}"
    for path in sorted(path for path in files.rglob("*") if path.is_file()):
        blob = folder / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        link = folder / "snapshots" / commit / path.relative_to(files)
        for place in (blob, link):
            place.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(path.read_bytes())
        link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.status != 200:
            return self._send(self.hub.status, b"", body)
        api = path.startswith("api/")
        name = path.removeprefix("api/").removeprefix("models/")
        owner, repo, what, *rest = [*name.removeprefix("datasets/").split("/", 3), "", ""]
        name = ("datasets/" if name.startswith("datasets/") else "") + f"{owner}/{repo}"
        if name not in self.hub.repos:
            return self._refuse(401, "RepoNotFound", body)
        revision, _, file = rest[0].partition("/")
        if revision not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound", body)
        folder = self.hub.repos[name]
        if api:
            return self._send(200, json.dumps(self._listing(name, folder, what)).encode(), body)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.hub.gated.get(name, {token}):
            return self._refuse(403 if token else 401, "GatedRepo", body)
        if not (folder / file).is_file():
            return self._refuse(404, "EntryNotFound", body)
        content = (folder / file).read_bytes()
        self._send(200, content, body, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}, broken=file in self.hub.broken)

    def _listing(self, name: str, folder: Path, what: str) -> object:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if what == "revision":
            siblings = [{"rfilename": str(path.relative_to(folder))} for path in files]
            return {"id": name, "sha": COMMIT, "private": False, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}
        return [
            {
                "type": "file",
                "path": str(path.relative_to(folder)),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for path in files
        ]

    def _refuse(self, status: int, code: str, body: bool) -> None:
        self._send(status, b"", body, {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str] | None = None, broken: bool = False) -> None:
        self.send_response(status)
        for key, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if broken else content)
            if broken:
                self.close_connection = True
