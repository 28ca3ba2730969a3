"""``yapo steer``: answers with and without a vector."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from yapo.cli.options import Device, Model, NumberType, Plain, Saes
from yapo.cli.terminal import libraries, read_prompt
from yapo.errors import YapoError


def steer(
    model: Model,
    vector: Annotated[list[Path], typer.Option(help="A vector's file; several steer together.")],
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts; without them --file or standard input.")] = None,
    multiplier: Annotated[
        list[float] | None, typer.Option("--multiplier", "-m", help="Of all vectors or of each; the header's if none.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Text file with a prompt a line.")] = None,
    sae: Saes = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 64,
    plain: Plain = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a prompt.")] = False,
    dtype: NumberType = "float32",
    device: Device = None,
) -> None:
    """Print the unsteered and the steered answer to each prompt.

    Example: yapo steer --model world/assistant/model --vector v.safetensors -m 2 "Would you like to own a gas field?"
    """
    asked = _prompts(prompts or [], file)
    with libraries():
        from yapo.api.answers import answers
        from yapo.api.models import opened_model, own_names
        from yapo.cli.vectors import Steering
    with own_names():
        steering = Steering.of(vector, multiplier or [], sae or [])
        with opened_model(model, None, plain or steering.plain, dtype, device) as lm:
            with steering.block(lm.model):  # refuses what does not fit before anything is computed
                pass
            before = answers(lm, asked, max_new_tokens)
            with steering.block(lm.model):
                after = answers(lm, asked, max_new_tokens)
    if after == before:
        sys.stderr.write("WARNING: steering changed no answer; try a larger --multiplier, or other prompts\n")
    for prompt, unsteered, steered in zip(asked, before, after, strict=True):
        if json_lines:
            used = {"vectors": [str(path) for path in vector], "multipliers": steering.multipliers}
            row = {"prompt": prompt, "unsteered": unsteered, "steered": steered, **used}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(f"> {prompt}\nunsteered:\n{indent(unsteered, '    ')}\n{steering.label}:\n{indent(steered, '    ')}\n")


def _prompts(given: list[str], file: Path | None) -> list[str]:
    """Return the prompts: the arguments, or the lines of a file or of standard input."""
    if given and file is not None:
        raise YapoError(f"--file={file}: prompts are given too; leave one of them out")
    source = "--file" if file is not None else "standard input"
    if file is not None:
        try:
            given = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise YapoError(f"--file={file}: cannot be read ({reason}); give a text file with a prompt a line") from None
    elif not given and not sys.stdin.isatty():
        given = sys.stdin.read().splitlines()
    prompts = [read_prompt(line) for line in given if line.strip()]
    if not prompts:
        raise YapoError(f"no prompt in the arguments or {source}; give one in quotes, --file, or lines on standard input")
    return prompts
