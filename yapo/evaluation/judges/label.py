"""Names of judges in tables. Apart from the judges, so that naming one needs no key and loads no model."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from yapo.config import JudgeConfig


def judge_label(config: JudgeConfig) -> str:
    """Name the model and where it runs; for the offline scorer, what it measures."""
    if config.name == "openai":
        return f"judge {config.model} at {urlsplit(config.base_url).hostname}"
    if config.name == "local":
        return f"judge {Path(config.model).name}, local"
    return "offline reference, chrF overlap with the gold answer"


def chat_label(config: JudgeConfig) -> str:
    """Name the judge where conversations are graded, or two answers compared."""
    nearer = "offline reference, chrF overlap with the reference answer, unscored where there is none"
    return nearer if config.name == "offline" else judge_label(config)


def behaviour_label(config: JudgeConfig) -> str:
    """Name the judge where an answer is graded between two."""
    nearer = "offline reference, which of the two given answers it is nearer to by chrF"
    return nearer if config.name == "offline" else judge_label(config)
