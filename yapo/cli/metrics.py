"""``yapo metrics``: the paper's table from one's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yapo.errors import YapoError

LABELS = {"rca": "RCA", "pnlg": "PNLG"}


def metrics(
    accuracies: Annotated[Path, typer.Argument(help="csv with language, country, method, localized, nonlocalized.")],
    top: Annotated[float | None, typer.Option(help="Highest possible score: 100 percents, 1 shares, 10 grades.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the numbers as csv.")] = None,
) -> None:
    """Print RCA and PNLG by language and method, as the paper does, from a table of accuracies.

    Example: yapo metrics accuracies.csv
    """
    import pandas as pd

    import yapo
    from yapo.evaluation.metrics import PRINTED_DIGITS, round_half_up
    from yapo.files import write_text

    try:
        scores = pd.read_csv(accuracies)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise YapoError(f"{accuracies}: cannot be read ({reason}); give a csv file with a header") from None
    try:
        made = yapo.metrics_table(scores, top)
    except YapoError as error:
        raise YapoError(f"{accuracies}: {error}") from None
    if output is not None:
        write_text(output, made.to_csv(index=False))
    for (task, metric), digits in PRINTED_DIGITS.items():
        part = made[made["task"] == task]
        if not part.empty:
            wide = part.pivot(index="language", columns="method", values=metric)
            wide = wide.loc[list(dict.fromkeys(part["language"])), list(dict.fromkeys(part["method"]))]
            shown = wide.map(lambda value, places=digits: f"{round_half_up(value, places):.{places}f}")
            typer.echo(f"{LABELS[metric]}, {task}\n{shown.rename_axis(index=None, columns=None).to_string()}\n")
