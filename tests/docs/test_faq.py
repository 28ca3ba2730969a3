"""The page of frequent errors quotes sentences that the code still says."""

from __future__ import annotations

import itertools
import re
from functools import cache

import pytest
from markdown_it import MarkdownIt

from .messages import patterns
from .project import ROOT


def quoted() -> list[str]:
    """The errors of the page: its headings of level three, each one code span."""
    tokens = MarkdownIt("commonmark").parse((ROOT / "docs/faq.md").read_text(encoding="utf-8"))
    headings = [inline for token, inline in itertools.pairwise(tokens) if token.tag == "h3" and token.nesting == 1]
    spans = [inline.children or [] for inline in headings]
    assert all([span.type for span in line] == ["code_inline"] for line in spans)
    return [line[0].content for line in spans]


@cache
def said() -> list[re.Pattern[str]]:
    """The sentences of the code, which are gathered once."""
    return patterns(ROOT)


def is_said(message: str) -> bool:
    return any(pattern.fullmatch(message) for pattern in said())


def test_the_page_has_errors() -> None:
    errors = quoted()
    assert len(errors) >= 20 and len(set(errors)) == len(errors)


@pytest.mark.parametrize("message", quoted())
def test_the_code_says_so(message: str) -> None:
    assert is_said(message)


@pytest.mark.parametrize("message", ["pairs.jsonl: 3 usable pairs; give more than 5", "layer=9: no such layer; take another", ""])
def test_other_sentences_are_not_found(message: str) -> None:
    assert not is_said(message)


def test_every_error_has_an_explanation() -> None:
    text = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    assert not re.search(r"^### .*\n+(?=#|\Z)", text, re.MULTILINE)
