"""``yapo download``: an autoencoder from the hub into its cache, the one command that fetches any."""

from __future__ import annotations

from typing import Annotated

import typer

from yapo.cli.terminal import libraries
from yapo.errors import YapoError, require_extra


def download(
    sae: Annotated[str, typer.Argument(help="RELEASE/ID, as SAELens lists it.")],
) -> None:
    """Download an autoencoder, for --sae RELEASE/ID of the other commands.

    Example: yapo download gemma-scope-2b-pt-res-canonical/layer_15/width_65k/canonical
    """
    require_extra("sae", "sae_lens")
    with libraries():
        from yapo.api.models import own_names
        from yapo.models.sae_release import LIST, fetch, named

    with own_names():
        entry = named(sae)
        if entry is None:
            raise YapoError(f"{sae}: no release is called so; give RELEASE/ID, as listed on {LIST}")
        path, commit = fetch(entry)
    typer.echo(f"{path} (commit {commit[:12]})")
