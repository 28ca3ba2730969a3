"""A key that must not turn up anywhere, and short waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yapo.config import JudgeConfig
from yapo.evaluation.judges.rubric import Request

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., JudgeConfig]:
    def make(url: str, **changes: Any) -> JudgeConfig:
        quick = {"backoff_s": 0.01, "timeout_s": 5.0, "max_retries": 3, "concurrency": 4, "cache": str(tmp_path / "cache")}
        return JudgeConfig(**{"name": "openai", "model": "grader", "base_url": url, **quick, **changes})

    return make


def answers(n: int, first: int = 0) -> list[Request]:
    return [Request(f"ما هو الفطور؟ {i}", "فول وطعمية", f"answer {i}") for i in range(first, first + n)]
