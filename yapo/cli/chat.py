"""``yapo chat``: a conversation with a steered model in the terminal."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yapo.cli.options import Device, Model, NumberType, Saes
from yapo.cli.terminal import libraries, read_prompt
from yapo.errors import YapoError

if TYPE_CHECKING:
    from yapo.cli.vectors import Steering
    from yapo.models.language_model import LanguageModel

HELP = """\
/lambda 1.5     steer with this multiplier
/vector FILE    steer with another vector
/off            do not steer; /lambda goes on
/new            forget the conversation
/help           this list
/quit           end"""


def chat(
    model: Model,
    vector: Annotated[list[Path] | None, typer.Option(help="A vector's file; several steer together.")] = None,
    multiplier: Annotated[list[float] | None, typer.Option("--multiplier", "-m", help="Of all vectors or of each.")] = None,
    sae: Saes = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    dtype: NumberType = "float32",
    device: Device = None,
) -> None:
    """Talk to a steered model; /help lists what can be changed on the way.

    Example: yapo chat --model world/assistant/model --vector v.safetensors
    """
    with libraries():
        from yapo.api.models import opened_model, own_names
        from yapo.cli.vectors import Steering
    with own_names():
        steering = Steering.of(vector or [], multiplier or [], sae or []) if vector else None
        with opened_model(model, None, steering is not None and steering.plain, dtype, device) as lm:
            talk = Talk(lm, max_new_tokens, sae or [])
            talk.steer(steering)
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 (line editing for input())
            typer.echo(f"{talk.state}; /help lists the commands")
            while (line := _line()) is not None and line != "/quit":
                talk.take(line)


def _line() -> str | None:
    """Return what is typed; None at the end of the input."""
    try:
        return input("> ").strip()
    except EOFError:
        return None


@dataclass
class Talk:
    """A conversation, and what steers the model meanwhile.

    Attributes:
        lm: the model.
        max_new_tokens: longest answer.
        saes: of vectors that are loaded on the way.
        steering: the vectors; None before there are any.
        is_on: whether they steer.
        turns: what was said, the user's first.
    """

    lm: LanguageModel
    max_new_tokens: int
    saes: list[Path]
    steering: Steering | None = None
    is_on: bool = True
    turns: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """A description of the steering in force."""
        return self.steering.label if self.steering is not None and self.is_on else "unsteered"

    def steer(self, steering: Steering | None) -> None:
        """Steer by other vectors from here on; those that do not fit are refused."""
        if steering is not None:
            with steering.block(self.lm.model):
                pass
        self.steering, self.is_on = steering, True

    def take(self, line: str) -> None:
        """Answer what was typed, or do what it orders; what cannot be done is told in a line."""
        try:
            if line.startswith("/"):
                self._obey(*line.split(maxsplit=1))
            elif line:
                self._answer(read_prompt(line))
        except YapoError as error:
            typer.echo(f"error: {error}", err=True)

    def _obey(self, order: str, rest: str = "") -> None:
        if order == "/help":
            typer.echo(HELP)
            return
        if order == "/new":
            self.turns.clear()
        elif order == "/off":
            self.is_on = False
        elif order == "/lambda":
            self._scale(rest)
        elif order == "/vector":
            from yapo.cli.vectors import Steering

            self.steer(Steering.of([Path(rest)], [], self.saes))
        else:
            raise YapoError(f"{order}: no such command; /help lists them")
        typer.echo(self.state)

    def _scale(self, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise YapoError(f"/lambda {text}: no number; type one, such as /lambda 1.5")
        if self.steering is None:
            raise YapoError("/lambda: there is no vector yet; type /vector FILE first")
        self.steer(replace(self.steering, multipliers=[value] * len(self.steering.vectors)))

    def _answer(self, line: str) -> None:
        from transformers import TextStreamer

        from yapo.api.answers import reply

        streamer = TextStreamer(self.lm.tokenizer.tokenizer, skip_prompt=True, skip_special_tokens=True)
        block = contextlib.nullcontext() if self.steering is None or not self.is_on else self.steering.block(self.lm.model)
        try:
            with block:
                said = reply(self.lm, [*self.turns, line], self.max_new_tokens, streamer)
        except KeyboardInterrupt:
            typer.echo("\n(stopped; this question is forgotten)")
            return
        self.turns += [line, said]
