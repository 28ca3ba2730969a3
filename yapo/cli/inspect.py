"""``yapo inspect`` and ``yapo compare``: what stands in a vector's file."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yapo.cli.options import Sae
from yapo.cli.terminal import libraries
from yapo.errors import YapoError

if TYPE_CHECKING:
    from yapo.api.inspect import Direction
    from yapo.steering.vector import SteeringVector

PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }}
td, th {{ text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }}
.bar {{ display: inline-block; height: .8rem; background: #0072b2 }}
.less {{ background: #d55e00 }}
</style>
<h1>{title}</h1>
<table>{header}</table>
<h2>What it adds</h2>
<p>Size in the residual stream at its multiplier; blue adds, orange takes away.
Tokens: those whose logits the direction raises most.</p>
<table><tr><th>feature<th>size<th><th>tokens</tr>{rows}</table>
</html>
"""


def inspect(
    vector: Annotated[Path, typer.Argument(help="A vector's file.")],
    model: Annotated[str | None, typer.Option(help="Its model, for the tokens that it writes.")] = None,
    sae: Sae = None,
    top: Annotated[int, typer.Option(min=1, help="Features shown.")] = 10,
    html: Annotated[Path | None, typer.Option(help="Also write a page with a picture.")] = None,
    json_text: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a vector's header, its size, its strongest features and the tokens they write.

    Example: yapo inspect v.safetensors --model world/assistant/model
    """
    with libraries():
        import torch

        import yapo
        from yapo.api.inspect import directions
        from yapo.models.sae_places import find_sae, named_sae

        if model is not None:
            from yapo.api.models import opened_model, own_names

    loaded = yapo.load_vector(vector)
    info, coder, cpu = loaded.info, None, torch.device("cpu")
    if loaded.space.of_features and loaded.payload is None:
        coder = named_sae(sae, cpu) if sae is not None else find_sae(info.sae, info.sae_digest, loaded.file, cpu)
    if model is None:
        found = directions(loaded, top, coder)
    else:
        with own_names(), opened_model(model) as lm:
            found = directions(loaded, top, coder, lm)
    facts = _facts(loaded)
    if html is not None:
        from yapo.files import write_text

        write_text(html, _page(vector.name, facts, found))
    if json_text:
        typer.echo(json.dumps({"header": vars(info), "directions": [vars(one) for one in found]}, ensure_ascii=False))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<12} {value}")
    for one in found:
        name = "whole vector" if one.feature is None else f"feature {one.feature}"
        typer.echo(f"{name:<14} {one.size:+9.3f}  {' '.join(one.tokens)}".rstrip())


def compare(
    first: Annotated[Path, typer.Argument(help="A vector's file.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same model and layer.")],
    top: Annotated[int, typer.Option(min=1, help="Strongest entries of each that are compared.")] = 20,
) -> None:
    """Show the cosine of two vectors and the features that are among the strongest of both.

    Example: yapo compare a.safetensors b.safetensors
    """
    with libraries():
        import yapo
        from yapo.api.inspect import compare as compare_vectors

    v, w = yapo.load_vector(first), yapo.load_vector(second)
    try:
        found = compare_vectors(v, w, top)
    except YapoError as error:
        raise YapoError(f"{first} and {second}: {error}") from None
    typer.echo(f"cosine {found.cosine:.4f}")
    if v.space.of_features:
        typer.echo(f"shared among the top {found.top}: {len(found.shared)} ({', '.join(map(str, found.shared)) or 'none'})")


def _facts(vector: SteeringVector) -> dict[str, str]:
    """Return the header and the size of a vector, in words."""
    info, values = vector.info, vector.values.float()
    facts = {
        "method": info.method,
        "space": info.space,
        "layer": str(info.layer),
        "model": f"{info.model} ({info.model_digest})",
        "autoencoder": f"{info.sae} ({info.sae_digest})" if info.sae_digest else "none",
        "multiplier": f"{info.multiplier:g}",
        "norm": f"{float(values.norm()):.4g}",
        "L0": f"{int((values != 0).sum())} of {len(values)} entries",
        "data, config": f"{info.data_hash or '-'}, {info.config_hash or '-'}",
    }
    return facts | {name: json.dumps(value, ensure_ascii=False) for name, value in info.extra.items() if name != "layers"}


def _page(title: str, facts: dict[str, str], found: list[Direction]) -> str:
    """Return the page of a vector."""
    widest = max((abs(one.size) for one in found), default=1.0)
    header = "".join(f"<tr><th>{escape(name)}<td>{escape(value)}</tr>" for name, value in facts.items())
    rows = "".join(
        f"<tr><td>{'whole vector' if one.feature is None else one.feature}<td>{one.size:+.3f}"
        f'<td><span class="bar{" less" if one.size < 0 else ""}" style="width:{12 * abs(one.size) / widest:.2f}rem"></span>'
        f"<td>{escape(' '.join(one.tokens))}</tr>"
        for one in found
    )
    return PAGE.format(title=escape(title), header=header, rows=rows)
