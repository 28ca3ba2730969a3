"""The vectors that a server holds, by name, and what a request chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from yapo.checks import is_finite
from yapo.data.text import shown
from yapo.errors import unknown
from yapo.models.sae import SAE
from yapo.serving.errors import RequestError
from yapo.steering.interventions import EditState, Intervention
from yapo.steering.steer import intervention_for
from yapo.steering.steer_checks import check_model, check_vector, scaled_vector, strength_of
from yapo.steering.vector import SteeringVector

FORMS = 'give {"vector": "NAME", "multiplier": 1.5}, a list of such as "vector", or null for none'
NO_VECTOR = "this server was started without a vector; start it with --vector NAME=FILE"
MOST_VECTORS = 16  # that steer one answer together


@dataclass(frozen=True, eq=False)
class NamedVector:
    """A vector, ready to be applied.

    Attributes:
        name: what requests call it.
        vector: as it was loaded.
        intervention: applies it, narrowed to the features that it touches.
        values: the vector in the intervention's space, ``[width]``.
    """

    name: str
    vector: SteeringVector
    intervention: Intervention
    values: Tensor

    @classmethod
    def of(cls, name: str, vector: SteeringVector, model: PreTrainedModel, saes: Mapping[int, SAE]) -> NamedVector:
        """Return a vector for a model.

        Raises:
            YapoError: it does not fit the model, or its autoencoder is not there.
        """
        check_vector(vector)
        check_model(model, vector)
        device = next(model.model.layers[vector.info.layer].parameters()).device
        whole = intervention_for(model, vector, saes, device)
        intervention, values = whole.restrict(scaled_vector(vector, 1.0, whole.width)[None].to(device))
        return cls(name, vector, intervention, values[0])

    def edit(self, multiplier: float) -> RowEdit:
        """Return its edit of one row."""
        return RowEdit(self, self.intervention.edit_state(multiplier * self.values[None]))


@dataclass(eq=False)
class RowEdit:
    """The edit of one row by one vector.

    Attributes:
        named: the vector.
        state: it scaled, one entry.
        context: what the intervention has read of the row's prompt, ``[1, ...]``, where it reads one.
    """

    named: NamedVector
    state: EditState
    context: Tensor | None = None


Strengths = list[tuple[NamedVector, float]]


@dataclass(frozen=True)
class Vectors:
    """The vectors of a server.

    Attributes:
        named: by name; the first steers where a request says nothing.
        multiplier: of requests that name none; that of each vector's header if None.
    """

    named: Mapping[str, NamedVector] = field(default_factory=dict)
    multiplier: float | None = None

    @property
    def default(self) -> NamedVector | None:
        """The vector that steers where a request says nothing."""
        return next(iter(self.named.values()), None)

    def usual(self, named: NamedVector) -> float:
        """Return the multiplier of a vector where a request names none."""
        return strength_of(self.multiplier, named.vector)

    def chosen(self, body: Mapping[str, object]) -> Strengths:
        """Return vectors and multipliers for a request's ``steering``, in order; those with multiplier 0 are left out.

        Raises:
            RequestError: it is malformed, names no vector of the server, or a number that is not finite or too large.
        """
        if "steering" not in body:
            return self._pair(self.default, None, "steering")
        asked = body["steering"]
        if asked is None:
            return []
        if not isinstance(asked, dict):
            raise RequestError(f"steering={shown(asked)}: no object; {FORMS}", "steering")
        _check_keys(asked, "steering")
        multiplier = asked.get("multiplier")
        if "vector" not in asked:
            if self.default is None and asked:
                raise RequestError(f"steering.vector: {NO_VECTOR}", "steering.vector")
            return self._pair(self.default, multiplier, "steering")
        vector = asked["vector"]
        if vector is None:
            return []
        if not isinstance(vector, list):
            return self._pair(self._find(vector, "steering.vector"), multiplier, "steering")
        if len(vector) > MOST_VECTORS:
            raise RequestError(f"steering.vector: {len(vector)} vectors; give {MOST_VECTORS} at most", "steering.vector")
        return [pair for place, part in enumerate(vector) for pair in self._part(part, place, multiplier)]

    def _part(self, part: object, place: int, multiplier: object) -> Strengths:
        """Return what one entry of a list of vectors chooses."""
        key = f"steering.vector[{place}]"
        if not isinstance(part, dict):
            return self._pair(self._find(part, key), multiplier, "steering")
        _check_keys(part, key)
        own = part.get("multiplier")
        named = self._find(part.get("vector"), f"{key}.vector")
        return self._pair(named, multiplier if own is None else own, "steering" if own is None else key)

    def _pair(self, named: NamedVector | None, multiplier: object, key: str) -> Strengths:
        """Return a vector with its multiplier, or nothing where there is none or the multiplier is 0."""
        if named is None:
            return []
        key = f"{key}.multiplier"
        if multiplier is None:
            strength = self.usual(named)
        elif isinstance(multiplier, bool) or not isinstance(multiplier, int | float) or not is_finite(multiplier):
            raise RequestError(f"{key}={shown(multiplier)}: not a finite number; give one, such as 1.5", key)
        else:
            strength = float(multiplier)
        if not bool(torch.isfinite(strength * named.values).all()):
            raise RequestError(f"{key}={strength:g}: the vector times that is beyond float32; give a smaller one", key)
        return [(named, strength)] if strength else []

    def _find(self, name: object, key: str) -> NamedVector:
        if isinstance(name, str) and name in self.named:
            return self.named[name]
        if not self.named:
            raise RequestError(f"{key}={shown(name)}: {NO_VECTOR}", key, 404)
        if not isinstance(name, str):
            raise RequestError(f"{key}={shown(name)}: no name of a vector; choose among {', '.join(self.named)}", key)
        raise RequestError(str(unknown("vector", key, name, self.named)), key, 404)


def _check_keys(given: Mapping[str, object], key: str) -> None:
    for name in given:
        if name not in ("vector", "multiplier"):
            raise RequestError(f"{key}.{shown(name, bare=True)}: unknown field; {FORMS}", key)


def edits_of(chosen: Sequence[tuple[NamedVector, float]]) -> list[RowEdit]:
    """Return the edits of one row by what a request has chosen."""
    return [named.edit(multiplier) for named, multiplier in chosen]
