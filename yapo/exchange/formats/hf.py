"""A folder for the Hugging Face hub: the vector's own file and a card. Nothing is uploaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from string import Template

from yapo.errors import YapoError
from yapo.exchange.direction import Direction, Positions
from yapo.files import scratch_folder, write_text
from yapo.names import is_hub_id

CARD = Path(__file__).with_name("hf_card.md")
VECTOR = "vector.safetensors"


class HuggingFaceFolder:
    """``vector.safetensors`` and ``README.md``.

    ``yapo.load_vector`` gives the vector as it is. The fidelity on the card is that of its lines without this package,
    which add a dense tensor at every position.
    """

    suffix = ""
    positions: Positions = "all"
    lowest_layer = 0
    is_pickle = False

    def write(self, direction: Direction, path: Path) -> list[Path]:
        """See ``Format.write``.

        Raises:
            YapoError: the folder is there and not empty.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise YapoError(f"{path}: exists already; name a new folder")
        vector = replace(direction.vector, info=replace(direction.vector.info, multiplier=direction.multiplier))
        if vector.space.of_features:
            vector = replace(vector, dense=direction.values)
        with scratch_folder(path.parent) as scratch:
            made = scratch / "folder"
            vector.save(made / VECTOR)
            write_text(made / "README.md", card(direction))
            made.rename(path)
        return [path / VECTOR, path / "README.md"]


def card(direction: Direction) -> str:
    """Return the card: what the vector is, how to load it with and without this package, and what is lost without."""
    info = direction.vector.info
    in_file = f'{direction.multiplier!r} * file.get_tensor("vector")'
    if direction.vector.space.of_features:
        in_file = 'file.get_tensor("dense")'
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        base=f"base_model: {json.dumps(info.model)}\n" if is_hub_id(info.model) else "",
        model=json.dumps(info.model, ensure_ascii=False),
        layer=info.layer,
        needed="It needs the autoencoder that its header names.\n" if direction.vector.autoencoders else "",
        direction=in_file,
        losses="".join(f"- {loss}\n" for loss in direction.losses) or "- nothing\n",
        measured=direction.measured,
        header=json.dumps(vars(info) | {"multiplier": direction.multiplier}, indent=2, ensure_ascii=False),
    )


FORMAT = HuggingFaceFolder()
