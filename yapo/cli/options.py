"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yapo.checks import Dtype

Model = Annotated[str, typer.Option(help="Folder in Hugging Face format, or name on the hub.")]
_SAE = "Of a sparse vector, where it is not found: path, or RELEASE/ID."
Sae = Annotated[Path | None, typer.Option(help=_SAE)]
Saes = Annotated[list[Path] | None, typer.Option("--sae", help=_SAE)]
Plain = Annotated[bool, typer.Option("--plain", help="Raw prompts, for a model without a chat template.")]
NumberType = Annotated[Dtype, typer.Option("--dtype", help="Number type of the model.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; a GPU if there is one.")]
