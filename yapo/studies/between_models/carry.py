"""Two models on the same texts, and vectors of the one carried to the other by every map.

Every carried vector is made as long as the model's own one, as validation chose it. So maps differ in direction alone, and λ of
each, chosen on validation too, does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from yapo.config import Config
from yapo.errors import YapoError
from yapo.evaluation.country import Candidate
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.models.shared_text import Chat, TextStates, paired_states, text_states
from yapo.stages.inputs import read_sae
from yapo.stages.vectors import ChosenVector
from yapo.steering.interventions import Dense, Intervention, Sparse
from yapo.steering.maps import FeatureMatches, Floats, ResidualMap, match_features, procrustes_map, random_map, ridge_map
from yapo.steering.portable import mean_change
from yapo.steering.sparse_codes import SparseCodes

Map = Literal["ridge", "procrustes", "features", "random"]
TextSplit = Literal["train", "validation"]  # a map is learned on the first and measured on the second
TOKENS = 4096  # steered at once


@dataclass(frozen=True)
class TextModel:
    """A model, what its study says of it, and its states on the chats of each split."""

    config: Config
    lm: LanguageModel
    layer: int
    states: Mapping[TextSplit, TextStates]

    @classmethod
    def of(cls, config: Config, layer: int, chats: Mapping[TextSplit, Sequence[Chat]], scratch: Path) -> TextModel:
        """Load the model and run it over the chats; ``scratch`` is a folder with room for its states."""
        lm, model = load_language_model(config.model), config.model
        lm.check_layer(layer)
        states = {
            split: text_states(lm, layer, of_split, model.batch_size, model.max_prompt_tokens, scratch)
            for split, of_split in chats.items()
        }
        return cls(config, lm, layer, states)

    @cached_property
    def sae(self) -> SAE:
        """The autoencoder of the layer."""
        return read_sae(self.config, self.layer, self.lm.d_model).to(self.lm.device)

    def codes(self, states: Tensor) -> csr_array:
        """Return the features that fire on states ``[n, d_model]``, ``[n, d_sae]``."""
        codes = SparseCodes.of(self.sae, states[None].to(self.lm.device)).to(torch.device("cpu"))
        parts = (codes.values.double().numpy(), codes.ids.numpy(), codes.offsets().numpy())
        return csr_array(parts, shape=(len(states), self.sae.d_sae))

    def mean_change(self, edit: Intervention, u: Tensor, states: Tensor) -> Floats:
        """Return the mean change that steering by ``u`` makes to states ``[n, d_model]``."""
        device = self.lm.device

        def change(part: Tensor) -> Tensor:
            live = torch.ones(1, len(part), dtype=torch.bool, device=device)
            return edit.changes(part[None].to(device), u.to(device), live).cpu()

        return _doubles(mean_change(map(change, states.split(TOKENS)), self.lm.d_model).values)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Carried:
    """A vector in the target model.

    Attributes:
        candidate: what validation chooses λ of.
        cosine: of the mean changes that it and the model's own vector make.
        fit: of its map: the share of the variance of validation states that it explains, or the mean correlation of matched
            features; NaN for the random map.
        kept: share of the vector's length in features with a match; NaN for maps of states.
    """

    candidate: Candidate
    cosine: float
    fit: float
    kept: float


class Link:
    """Maps from one model to another.

    Args:
        source, target: the models.
        seed: of the random map.

    Raises:
        YapoError: the models share too few places of the texts.
    """

    def __init__(self, source: TextModel, target: TextModel, seed: int) -> None:
        self.source, self.target = source, target
        self.states = paired_states(source.states["train"], target.states["train"])
        width, places = max(source.lm.d_model, target.lm.d_model), len(self.states[0])
        if places < width:
            raise YapoError(
                f"studies.between_models.texts: {source.lm.source} and {target.lm.source} share {places} places of the training "
                f"texts, and states are {width} wide; raise it, or give more training data"
            )
        pair = _doubles(self.states[0]), _doubles(self.states[1])
        learned: dict[Map, ResidualMap] = {"ridge": ridge_map(*pair), "procrustes": procrustes_map(*pair)}
        self.maps: dict[Map, ResidualMap] = {**learned, "random": random_map(*pair, seed)}
        x, y = map(_doubles, paired_states(source.states["validation"], target.states["validation"]))
        self.fits = {kind: one.explained_variance(x, y) for kind, one in learned.items()}

    @cached_property
    def matches(self) -> FeatureMatches:
        """The features of both autoencoders that belong together."""
        return match_features(self.source.codes(self.states[0]), self.target.codes(self.states[1]))

    def carry(self, vector: ChosenVector, own: ChosenVector) -> dict[Map, Carried]:
        """Return a vector of the source model by every map that can carry it.

        A sparse vector goes by the maps of states as the mean change that it makes, and by matched features as it is; where none
        of its features has a match, it does not.

        Args:
            vector: of the source model.
            own: of the target model, for the same questions.
        """
        u, own_u = vector.multiplier * vector.values, own.multiplier * own.values
        change = self.source.mean_change(vector.intervention, u, self.states[0])
        ours = self.target.mean_change(own.intervention, own_u, self.states[1])
        found = dict[Map, Carried]()
        for kind, one in self.maps.items():
            moved = _as_long(change @ one.weights, ours)
            candidate = self._candidate(Dense(len(moved)), moved, vector)
            found[kind] = Carried(candidate, self._cosine(candidate, ours), self.fits.get(kind, math.nan), math.nan)
        if isinstance(vector.intervention, Sparse) and (kept := self.matches.kept(_doubles(u))):
            values = _as_long(self.matches.carry(_doubles(u)), _doubles(own_u))
            edit = Sparse(self.target.sae, vector.intervention.threshold, device=self.target.lm.device)
            candidate = self._candidate(edit, values, vector)
            found["features"] = Carried(candidate, self._cosine(candidate, ours), float(self.matches.correlation.mean()), kept)
        return found

    def _cosine(self, candidate: Candidate, ours: Floats) -> float:
        moved = self.target.mean_change(candidate.intervention, candidate.epochs[0], self.states[1])
        lengths = float(np.linalg.norm(moved) * np.linalg.norm(ours))
        return float(moved @ ours) / lengths if lengths else math.nan

    @staticmethod
    def _candidate(edit: Intervention, values: Floats, vector: ChosenVector) -> Candidate:
        return Candidate(torch.from_numpy(values[None]).float(), edit, vector.steer_bos)


def _doubles(values: Tensor) -> Floats:
    return values.double().numpy()


def _as_long(values: Floats, other: Floats) -> Floats:
    """Return a vector made as long as another; a zero vector stays."""
    return values * (np.linalg.norm(other) / max(float(np.linalg.norm(values)), np.finfo(float).tiny))
