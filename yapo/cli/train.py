"""``yapo train``: a steering vector from a file of preference pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yapo.api.methods import MethodName
from yapo.cli.interruption import Interruption
from yapo.cli.options import Device, Model, NumberType, Plain
from yapo.cli.terminal import libraries
from yapo.errors import YapoError

if TYPE_CHECKING:
    from yapo.steering.vector import SteeringVector


def train(
    model: Model,
    pairs: Annotated[Path, typer.Option(help="csv, json, jsonl or parquet with prompt, chosen and rejected.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The vector's file, ending in .safetensors.")],
    method: Annotated[MethodName, typer.Option(help="caa to probe: from the states; bipo to sft: trained.")] = "caa",
    layer: Annotated[str, typer.Option(help="Block to steer, from 0; auto finds it on held-out pairs.")] = "auto",
    sae: Annotated[
        Path | None, typer.Option(help="Of the layer, for sas, sas_output, corrsteer and yapo: folder, .npz or RELEASE/ID.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of methods that train.")] = 20,
    lr: Annotated[float, typer.Option(help="Learning rate of methods that train.")] = 5e-4,
    batch_size: Annotated[int, typer.Option(help="Pairs of one training step.")] = 4,
    beta: Annotated[float, typer.Option(help="Of the loss of bipo, yapo and dpo.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the part held out and of the order of the pairs.")] = 0,
    validation: Annotated[float, typer.Option(help="Share of the prompts that are held out.")] = 0.25,
    max_prompt_tokens: Annotated[int, typer.Option(help="Pairs with a longer prompt are left out.")] = 2048,
    min_explained_variance: Annotated[float, typer.Option(help="Share of variance that the autoencoder must explain.")] = 0.5,
    plain: Plain = False,
    dtype: NumberType = "float32",
    device: Device = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Make a steering vector from preference pairs.

    A part of the pairs is held out; it decides the layer, the multiplier and the epoch. After Ctrl-C the same command goes on.

    Example: yapo train --model world/assistant/model --pairs pairs.jsonl -o v.safetensors
    """
    if output.suffix != ".safetensors":
        raise YapoError(f"--output={output}: a vector's file ends in .safetensors; write {output.name}.safetensors")
    if output.exists() and not overwrite:
        raise YapoError(f"--output={output}: it is there; give another name, or --overwrite")
    if not (layer == "auto" or (layer.isascii() and layer.isdigit())):
        raise YapoError(f"--layer={layer}: give the number of a block, counted from 0, or auto")
    progress = output.with_name(f"{output.name}.unfinished")
    begun = progress.exists()
    with libraries():
        import shutil

        from yapo.api.train import train as train_vector
        from yapo.cli.training_bar import TrainingBar
    try:
        with TrainingBar() as bar:
            vector = train_vector(
                model,
                pairs,
                method,
                "auto" if layer == "auto" else int(layer),
                sae,
                epochs=epochs,
                lr=lr,
                batch_size=batch_size,
                beta=beta,
                seed=seed,
                validation=validation,
                max_prompt_tokens=max_prompt_tokens,
                min_explained_variance=min_explained_variance,
                plain=plain,
                dtype=dtype,
                device=device,
                checkpoint=progress,
                log=bar.add,
            )
        vector.save(output)
    except KeyboardInterrupt:
        raise Interruption(f"run the same command again and it goes on ({progress} keeps what is done)") from None
    except YapoError:
        if not begun:
            shutil.rmtree(progress, ignore_errors=True)
        raise
    shutil.rmtree(progress, ignore_errors=True)
    typer.echo(f"{output}: {described(vector)}")


def described(vector: SteeringVector) -> str:
    """Return a line about a vector that was made."""
    info, extra = vector.info, vector.info.extra
    counts = extra["pairs"]
    parts = [
        f"{info.method}, layer {info.layer}, multiplier {info.multiplier:g}",
        f"{counts['train']} pairs, {counts['validation']} held out",
        f"moves states by {100 * extra['displacement']:.0f} % of their norm",
        f"held-out chosen answers {extra['gain']:+.3f} nats a token",
    ]
    return "; ".join(parts)
