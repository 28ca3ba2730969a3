"""Checks of the model, the vector and the multiplier that a caller gives to ``yapo.steer``."""

from __future__ import annotations

import contextlib
import numbers
import warnings
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from yapo.checks import is_finite
from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.hub import Repo, is_commit, snapshot_commit, snapshot_of, snapshots_with_weights
from yapo.models.checkpoint import missing_file, weights_digest
from yapo.models.weights import check_architecture
from yapo.steering.vector import SteeringVector, VectorInfo
from yapo.tensors import described, is_plain, not_finite


def strength_of(multiplier: object, vector: SteeringVector) -> float:
    """Return λ: the multiplier given, or the header's where it is None.

    Raises:
        YapoError: it is no finite number.
    """
    value, named = (vector.info.multiplier, "the vector's multiplier") if multiplier is None else (multiplier, "multiplier")
    if isinstance(value, Tensor) and value.numel() == 1:
        with contextlib.suppress(RuntimeError):  # one on the device meta has no value
            value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not is_finite(value):
        fix = "leave it out for the one chosen on validation" if multiplier is not None else "give one as multiplier=..."
        raise YapoError(f"{named}={shown(value)}: not a finite number; {fix}")
    return float(value)


def check_vector(vector: object) -> None:
    """Refuse what is no vector, or holds no finite numbers.

    Raises:
        YapoError: see above.
    """
    if not isinstance(vector, SteeringVector) or not isinstance(vector.info, VectorInfo):
        given = repr(vector) if isinstance(vector, str | Path | None) else type(vector).__name__
        raise YapoError(f"vector={given}: not a steering vector; give what yapo.load_vector(path) returns")
    if not is_plain(vector.values) or vector.values.ndim != 1 or not vector.values.is_floating_point():
        raise YapoError(
            f"the vector's values are {described(vector.values)}; give one floating-point number for each entry of its space"
        )
    if not_finite([("values", vector.values)]) is not None:
        raise YapoError(f"the vector for {vector.info.model} holds NaN or infinity; train or download it again")


def scaled_vector(vector: SteeringVector, strength: float, width: int) -> Tensor:
    """Return u = λ·v, ``[width]`` float32.

    Raises:
        YapoError: the vector is of another width, or u is too large for float32.
    """
    if len(vector.values) != width:
        raise YapoError(
            f"the vector has {len(vector.values)} entries, but what applies it has {width}; give the autoencoder it names"
        )
    u = strength * vector.values.float()
    if not_finite([("u", u)]) is not None:
        raise YapoError(f"multiplier={strength}: the vector times that is beyond float32; give a smaller one")
    return u


def check_model(model: PreTrainedModel, vector: SteeringVector) -> None:
    """Refuse a model that cannot be steered, or a vector made for another one.

    Raises:
        YapoError: a wrapper, a model without a head, quantised or absent weights; other depth, other width, other weights, or a
            name that does not tell whether the weights are the same.
    """
    check_kind(model)
    info, config = vector.info, model.config
    if not 0 <= info.layer < config.num_hidden_layers:
        raise YapoError(
            f"the vector steers layer {info.layer} of {info.model}, but this model has {config.num_hidden_layers} layers; "
            "load the model it was made for"
        )
    vector.space.check_model(vector, config.hidden_size)
    if config.name_or_path:  # a model made in memory has no weights to compare
        _check_weights(config, info)


def check_kind(model: object) -> None:
    """Refuse what is no bare language model with its head and its weights in memory."""
    kind, inner = type(model).__name__, next((name for name in ("module", "_orig_mod") if name in _children(model)), None)
    if inner is not None:
        raise YapoError(
            f"model: {kind} wraps the model, and would not always run the steered one; give model.{inner}, and run that"
        )
    if not isinstance(model, PreTrainedModel):
        inside = "; merge an adapter into its model first (merge_and_unload)" if hasattr(model, "merge_and_unload") else ""
        given = repr(model) if isinstance(model, str | Path | None) else kind
        raise YapoError(
            f"model={given}: not a transformers model{inside}; give what AutoModelForCausalLM.from_pretrained returns"
        )
    check_architecture("model", model.config.model_type)
    if not hasattr(model, "model") or not hasattr(model.model, "layers"):
        raise YapoError(f"model: {kind} has no head; load it with AutoModelForCausalLM, which has one")
    if getattr(model, "is_quantized", False) or getattr(model.config, "quantization_config", None) is not None:
        raise YapoError("model: its weights are quantised, for which no vector was made; load it without quantization_config")
    absent = next((name for name, parameter in model.named_parameters() if parameter.is_meta), None)
    if absent is not None:
        raise YapoError(
            f"model: {absent} is not in memory (device meta); load the weights, without offloading them to disk or CPU"
        )


def _children(model: object) -> set[str]:
    return {name for name, _ in model.named_children()} if isinstance(model, nn.Module) else set()


def _check_weights(config: PreTrainedConfig, info: VectorInfo) -> None:
    """Refuse other weights: commits are compared with commits, digests with digests."""
    name, made, folders = config.name_or_path, info.model_digest, folders_of(config)
    of_hub = is_commit(made)
    here = [snapshot_commit(folder) for folder in folders]
    if of_hub and not any(here):  # a folder outside a cache has no commit, but may be a copy of what the cache holds of it
        original = snapshot_of(Repo("model.path", info.model, made))
        made = weights_digest(original) if missing_file(original) is None else ""
    if not is_commit(made):
        here = [weights_digest(folder) for folder in folders] if made else []
    vectors = f"the vector was made for {info.model} ({info.model_digest})"
    right = f"{info.model} at revision {info.model_digest}" if of_hub else "the weights it was made for"
    fix = f"load {right}, or make a vector for this model"
    if not any(here):
        if name != info.model or Path(name).is_dir():  # a folder may bear the name of a hub model
            raise YapoError(f"{vectors}; nothing here tells whether {name} has the same weights; {fix}")
    elif made not in here:
        raise YapoError(f"{vectors}; {name} has other weights ({', '.join(here)}); {fix}")
    elif made != here[0]:
        warnings.warn(
            f"{vectors}; the cache holds {len(here)} commits of {name}, and a model loaded by its name does not say which it is; "
            f"load it from {folders[here.index(made)]} to be sure",
            stacklevel=6,
        )


def digest_of(config: PreTrainedConfig) -> str:
    """Return the commit of a loaded model where the hub's cache knows it, otherwise the digest of the files it was read from.

    Empty where neither can be told, as for a model made in memory.
    """
    if not config.name_or_path or not (folders := folders_of(config)):
        return ""
    return snapshot_commit(folders[0]) or weights_digest(folders[0])


def folders_of(config: PreTrainedConfig) -> list[Path]:
    """Return the folder that a model was read from; for a name on the hub all that the cache holds, the likeliest first."""
    name, commit = config.name_or_path, str(vars(config).get("_commit_hash") or "")
    if Path(name).is_dir():
        return [Path(name)]
    return [snapshot_of(Repo("model.path", name, commit))] if commit else snapshots_with_weights(Repo("model.path", name))
