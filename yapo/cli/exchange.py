"""``yapo export`` and ``yapo import``: vectors to and from the files of other tools."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from yapo.cli.options import Device, NumberType, Plain
from yapo.cli.terminal import libraries
from yapo.errors import YapoError

SUFFIX = ".safetensors"  # of a vector of this project


def export(
    vector: Annotated[Path, typer.Argument(help="A vector of this project.")],
    to: Annotated[str, typer.Option(help="gguf, svec, lm-eval, easysteer, neuronpedia or hf (a folder for the hub).")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to; beside the vector by default.")] = None,
    multiplier: Annotated[float | None, typer.Option(help="λ; the one that validation chose by default.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model, to measure what is lost: a folder, or a name on the hub.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Texts to measure on, one a line; built-in ones by default.")] = None,
    sae: Annotated[Path | None, typer.Option(help="Autoencoder of a sparse vector, where its header's is not there.")] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Write a file that its tool unpickles (lm-eval).")] = False,
    plain: Plain = False,
    dtype: NumberType = "float32",
    device: Device = None,
) -> None:
    """Write λ·v for another tool, and say what is lost, as measured on prompts. Nothing is uploaded.

    Example: yapo export v.safetensors --to gguf --model world/model -o v.gguf
    """
    with libraries():
        from yapo.api.models import opened_model, own_names
        from yapo.exchange.export import export as write
        from yapo.exchange.fidelity import read_prompts
        from yapo.exchange.formats import get_format
        from yapo.steering.vector import SteeringVector

    suffix = get_format(to).suffix
    if model is None and (prompts is not None or sae is not None):
        raise YapoError("--prompts and --sae: nothing is measured without the model; give --model too")
    place = out or (vector.with_suffix(suffix) if suffix else vector.with_name(f"{vector.stem}-{to}"))
    loaded, texts = SteeringVector.load(vector), None if prompts is None else read_prompts(prompts)
    with own_names(), ExitStack() as block:
        given: dict[str, Any] = {}
        if model is not None:
            lm = block.enter_context(opened_model(model, None, plain, dtype, device))
            given = {"model": lm.model, "tokenizer": lm.tokenizer.tokenizer}
        done = write(loaded, place, to, multiplier=multiplier, prompts=texts, sae=sae, allow_pickle=allow_pickle, **given)
    typer.echo(str(done))


def import_vector(
    files: Annotated[list[Path], typer.Argument(help="Vectors of another tool: .gguf, .svec, .json, .pt, .safetensors or .npy.")],
    model: Annotated[str, typer.Option(help="Model that they are for: a folder, or a name on the hub.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to: a .safetensors file for one, a folder for several.")],
    layer: Annotated[int | None, typer.Option(help="Block whose output is steered, from 0, where a file does not say.")] = None,
    steer_bos: Annotated[bool, typer.Option("--steer-bos", help="Steer the first token too, as most other tools do.")] = False,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit of a model of the hub.")] = "main",
) -> None:
    """Read vectors of another tool, and write them as vectors of this project, which steer and enter a study's tables.

    Example: yapo import v.gguf --model world/model -o v.safetensors
    """
    places = _places(files, out)
    with libraries():
        from yapo.api.models import own_names
        from yapo.exchange.read import read

    with own_names():
        vectors = [read(file, model, layer, steer_bos, revision) for file in files]
    for place, vector in zip(places, vectors, strict=True):
        vector.save(place)
        info = vector.info
        typer.echo(f"{place}: a dense vector for block {info.layer} of {info.model}, norm {vector.values.norm():.3g}")


def _places(files: list[Path], out: Path) -> list[Path]:
    """Return where each vector goes: the file ``out``, or one in the folder ``out`` named as the file it comes from."""
    into_folder = out.is_dir() or len(files) > 1
    if into_folder and out.suffix == SUFFIX:
        raise YapoError(f"--out={out}: one file for {len(files)} vectors; name a folder")
    if not into_folder and out.suffix != SUFFIX:
        raise YapoError(f"--out={out}: a vector of this project ends in {SUFFIX}; name it so, or give a folder that is there")
    places = [out / f"{file.stem}{SUFFIX}" for file in files] if into_folder else [out]
    for place in places:
        if place in files or places.count(place) > 1:
            raise YapoError(f"--out={out}: {place} would be written over; name another folder, or import one file at a time")
    return places
