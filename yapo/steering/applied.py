"""From a vector to the intervention that applies it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from yapo.errors import YapoError
from yapo.models.sae import SAE, check_fits
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import Carried, VectorInfo


class Applied:
    """Interventions of vectors made for one model. Vectors that are applied alike share one, and so forward passes.

    Args:
        d_model: width of the model's residual stream.
        autoencoder: gives that of a layer; asked once a layer, and only where a vector needs one.
        device: where edits happen; that of the autoencoders if None.
    """

    def __init__(self, d_model: int, autoencoder: Callable[[int], SAE], device: torch.device | None = None) -> None:
        self.d_model, self.autoencoder, self.device = d_model, autoencoder, device
        self._known: dict[tuple[str, ...], Intervention] = {}
        self._autoencoders: dict[int, SAE] = {}

    def intervention(self, info: VectorInfo, made: ConditionalMap | None = None, carried: Carried | None = None) -> Intervention:
        """How the vector with this header, map and features is applied.

        Raises:
            YapoError: an autoencoder is not the one that the vector was made with, or was made for another model or layer.
        """
        if carried is not None:
            check_fits(carried.sae, self.d_model, info.layer)
            return Sparse(carried.sae, info.threshold, device=self.device)
        kind = (info.space, info.threshold, str(info.layer), info.sae_digest, "" if made is None else made.digest)
        if kind not in self._known:
            self._known[kind] = self._made(info, made)
        return self._known[kind]

    def _made(self, info: VectorInfo, made: ConditionalMap | None) -> Intervention:
        if info.space == "dense":
            return Dense(self.d_model)
        if made is not None:
            if made.info.layer_out != info.layer:
                raise YapoError(f"its map edits layer {made.info.layer_out}, but its header says {info.layer}; make it again")
            return Conditional(made, self._sae(made.info.layer_in), self._sae(made.info.layer_out), self.device)
        sae = self._sae(info.layer)
        if sae.digest != info.sae_digest:
            raise YapoError(
                f"the vector was trained with the autoencoder {info.sae} ({info.sae_digest}), not {sae.source} ({sae.digest})"
            )
        return Sparse(sae, info.threshold, device=self.device)

    def _sae(self, layer: int) -> SAE:
        if layer not in self._autoencoders:
            sae = self.autoencoder(layer)
            check_fits(sae, self.d_model, layer)
            self._autoencoders[layer] = sae
        return self._autoencoders[layer]
