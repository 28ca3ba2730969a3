"""Text of a chat by the tokenizer's own template: a program of the model's makers, sandboxed by the library and limited here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING

from jinja2 import Environment
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MOST_STEPS = 300_000  # lines of compiled template code that one rendering may run: about a second
# Values that templates may ask for beside the turns. Qwen 3 answers at once instead of thinking first; Llama 3 writes this date,
# to which its template falls back, and not today's: prompts would change from day to day.
DATE = datetime(2024, 7, 26)
VALUES = {"enable_thinking": False, "date_string": f"{DATE:%d %b %Y}"}
# The same for templates that ask for the time in their own format. The library passes data to a template, and no functions.
_FORMATS = [f"%{pad}{letter}" for letter in "aAbBcdDefFgGhHIjlkmMnpPrRStTuUVwWxXyYzZ" for pad in ("", "-")]
_FIXED_TIME = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('{form}', {DATE.strftime(form)!r})" for form in _FORMATS)
    + " }}{% endmacro %}\n"  # a line of its own, which leaves nothing
)


def render(tokenizer: PreTrainedTokenizerBase, chat: Sequence[tuple[str, str]], add_generation_prompt: bool = False) -> str:
    """Return a chat as the tokenizer's template writes it.

    Args:
        tokenizer: has a chat template.
        chat: role (``user`` or ``assistant``) and text of each turn.
        add_generation_prompt: whether the model's turn is opened behind it.

    Raises:
        Exception: of any kind, where the template fails; ``RuntimeError`` where it runs for more than ``MOST_STEPS`` steps, or
            raises numbers to powers: one such step may take hours.
    """
    written = tokenizer.get_chat_template()
    if _has_power(written):
        raise RuntimeError("it raises numbers to powers")
    messages = [{"role": role, "content": text} for role, text in chat]
    template = _FIXED_TIME + written if "strftime_now" in written else None
    with _limited_steps(MOST_STEPS):
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=add_generation_prompt, **VALUES
            )
        )


@cache
def _has_power(template: str) -> bool:
    return any(kind == "operator" and text == "**" for _, kind, text in Environment().lex(template))


@contextmanager
def _limited_steps(most: int) -> Iterator[None]:
    """Raise ``RuntimeError`` in a block's template code once it has run too many lines.

    Steps are counted and not seconds, so that the same template is refused on every machine.
    """
    left = most

    def count(frame: FrameType, _event: str, _argument: object) -> TraceFunction | None:
        nonlocal left
        if frame.f_code.co_filename != "<template>":
            return None
        left -= 1
        if left < 0:
            raise RuntimeError(f"it takes more than {most:,} steps")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
