"""``yapo evaluate``: accuracy on preference pairs before and after steering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from yapo.checks import Dtype
from yapo.cli.terminal import hide_bars, show_warnings


def evaluate(
    model: Annotated[str, typer.Option(help="Folder in Hugging Face format, or name on the hub.")],
    vector: Annotated[Path, typer.Option(help="A vector's file.")],
    data: Annotated[Path, typer.Option(help="csv, json, jsonl or parquet with prompt, chosen and rejected.")],
    multiplier: Annotated[float | None, typer.Option("--multiplier", "-m", help="The header's if none.")] = None,
    sae: Annotated[Path | None, typer.Option(help="Autoencoder of a sparse vector, where it is not found.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random control and of the intervals.")] = 0,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a condition.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="Number type of the model.")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU if there is one.")] = None,
) -> None:
    """Print how often the chosen answer is likelier: unsteered, steered, and under a random direction that moves as far.

    Example: yapo evaluate --model world/assistant/model --vector v.safetensors --data other_pairs.csv
    """
    show_warnings()
    import yapo
    from yapo.api.evaluate import evaluate as measure

    hide_bars()
    found = measure(model, yapo.load_vector(vector), data, multiplier, sae, seed=seed, dtype=dtype, device=device)
    for one in found:
        if json_lines:
            typer.echo(json.dumps(vars(one)))
        else:
            interval = f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
            typer.echo(f"{one.condition:<10} {100 * one.accuracy:5.1f} % {interval}  of {one.n} pairs")
