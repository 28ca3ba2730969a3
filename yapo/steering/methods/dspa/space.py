"""The space of DSPA's vectors: one number, the strength of an edit that a map and the prompt decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yapo.errors import YapoError
from yapo.models.sae import check_fits
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.spaces import Payload, Space, TargetModel, VectorFile

if TYPE_CHECKING:
    from yapo.steering.vector import Vector


class MapSpace(Space):
    """A strength beside a map: ``[1]``."""

    name = "map"
    width = 1
    reads_prompt = True

    def read_payload(self, file: VectorFile, entries: int) -> ConditionalMap:  # noqa: ARG002
        """See ``Space.read_payload``."""
        if set(file.extra) != {"map"}:
            raise file.refusal(f"its header has {', '.join(file.extra) or 'no map'}, but space=map has a map")
        if not isinstance(file.extra["map"], dict):
            raise file.refusal(f"the map of its header is {file.extra['map']!r}, not a JSON object")
        try:
            return ConditionalMap.read(file.tensors, file.extra["map"])
        except YapoError as error:
            raise file.refusal(str(error)) from None

    def autoencoders(self, vector: Vector) -> dict[int, str]:
        """See ``Space.autoencoders``."""
        held = _map(vector.payload).info
        return {held.layer_in: held.sae_in, held.layer_out: held.sae_out}

    def intervention(self, vector: Vector, model: TargetModel) -> Conditional:
        """See ``Space.intervention``."""
        held = _map(vector.payload)
        if held.info.layer_out != vector.info.layer:
            raise YapoError(f"its map edits layer {held.info.layer_out}, but its header says {vector.info.layer}; make it again")
        saes = {layer: model.autoencoder(layer) for layer in (held.info.layer_in, held.info.layer_out)}
        for layer, sae in saes.items():
            check_fits(sae, model.d_model, layer)
        return Conditional(held, saes[held.info.layer_in], saes[held.info.layer_out], model.device)


def _map(payload: Payload | None) -> ConditionalMap:
    if not isinstance(payload, ConditionalMap):
        raise YapoError("a vector of space=map needs its map; give a ConditionalMap as payload")
    return payload
