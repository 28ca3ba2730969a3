"""The space of DSPA's vectors: one number, the strength of an edit that a map and the prompt decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae import SAE, check_fits
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.spaces import Payload, Space

if TYPE_CHECKING:
    from yapo.steering.vector import VectorInfo


class MapSpace(Space):
    """A strength beside a map: ``[1]``."""

    name = "map"
    width = 1
    reads_prompt = True

    def read_payload(
        self,
        path: Path | str,
        described: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        info: VectorInfo,  # noqa: ARG002
        entries: int,  # noqa: ARG002
    ) -> ConditionalMap:
        """See ``Space.read_payload``."""
        if set(described) != {"map"}:
            raise YapoError(f"{path}: its header has {', '.join(described) or 'no map'}, but space=map has a map; make it again")
        if not isinstance(described["map"], dict):
            raise YapoError(f"{path}: the map of its header is {described['map']!r}, not a JSON object; make it again")
        try:
            return ConditionalMap.read(tensors, described["map"])
        except YapoError as error:
            raise YapoError(f"{path}: {error}; make it again") from None

    def autoencoders(self, info: VectorInfo, payload: Payload | None) -> dict[int, str]:  # noqa: ARG002
        """See ``Space.autoencoders``."""
        held = _map(payload).info
        return {held.layer_in: held.sae_in, held.layer_out: held.sae_out}

    def intervention(
        self,
        info: VectorInfo,
        payload: Payload | None,
        d_model: int,
        autoencoder: Callable[[int], SAE],
        device: torch.device | None = None,
    ) -> Conditional:
        """See ``Space.intervention``."""
        held = _map(payload)
        if held.info.layer_out != info.layer:
            raise YapoError(f"its map edits layer {held.info.layer_out}, but its header says {info.layer}; make it again")
        saes = {layer: autoencoder(layer) for layer in (held.info.layer_in, held.info.layer_out)}
        for layer, sae in saes.items():
            check_fits(sae, d_model, layer)
        return Conditional(held, saes[held.info.layer_in], saes[held.info.layer_out], device)


def _map(payload: Payload | None) -> ConditionalMap:
    if not isinstance(payload, ConditionalMap):
        raise YapoError("a vector of space=map needs its map; give a ConditionalMap as payload")
    return payload
