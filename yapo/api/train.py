"""``yapo.train``: a steering vector from preference pairs, without a study around it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from yapo.api.methods import OPTIONS, MethodName
from yapo.api.models import opened_model, opened_sae, own_names
from yapo.api.pairs import Pairs, hold_out, read_pairs
from yapo.checks import Dtype, one_of
from yapo.config import SaeConfig, TrainConfig
from yapo.discovery.held_out_pairs import Gain, best_multiplier, gains_by_layer
from yapo.errors import YapoError
from yapo.files import digest, scratch_folder
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE, check_fits
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.steering.activations import build_store, silent_sae
from yapo.steering.contrast import first_difference
from yapo.steering.method import FitInputs, Models
from yapo.steering.methods import get_method
from yapo.steering.pair_batch import TokenPair
from yapo.steering.prepare import token_pairs
from yapo.steering.training.checkpoint import LogRow
from yapo.steering.training.curves import closed_form_row
from yapo.steering.training.schedule import steps_per_epoch
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import SteeringVector, VectorInfo

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NAME = "pairs"  # of the one set of pairs
BATCH = 16  # pairs of one forward pass without gradient
SMALL = 0.01  # a displacement below this share of the states' norm hardly changes an answer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Pairs as token ids, and which of them train and validate."""

    pairs: list[TokenPair]
    rows: pd.DataFrame
    train: list[int]
    validation: list[int]
    left_out: dict[str, int]


def train(
    model: PreTrainedModel | Path | str,
    pairs: Pairs,
    method: MethodName = "caa",
    layer: int | Literal["auto"] = "auto",
    sae: SAE | Path | str | None = None,
    *,
    epochs: int = TrainConfig.epochs,
    lr: float = TrainConfig.lr,
    batch_size: int = TrainConfig.batch_size,
    beta: float = TrainConfig.beta,
    seed: int = TrainConfig.seed,
    validation: float = 0.25,
    max_prompt_tokens: int = 2048,
    min_explained_variance: float = SaeConfig.min_explained_variance,
    plain: bool = False,
    dtype: Dtype = "float32",
    device: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    checkpoint: Path | None = None,
    log: Callable[[LogRow], None] = lambda _: None,
) -> SteeringVector:
    """Make a steering vector from preference pairs.

    A part of the prompts is held out. It decides the layer, where that is ``auto``, the multiplier, and for methods that train
    the epoch: the one with the lowest validation loss. ``yapo.discovery.held_out_pairs`` says what is measured.

    Examples:
        >>> import yapo
        >>> pairs = [
        ...     {"prompt": f"What is {n}?", "chosen": f"It is a number: {n}.", "rejected": f"{n}."} for n in range(10, 20)
        ... ]
        >>> vector = yapo.train("world/model", pairs, method="caa", layer=2)
        >>> vector.info.method, vector.info.layer, tuple(vector.values.shape)
        ('caa', 2, (96,))

    Args:
        model: a transformers model, a folder in Hugging Face format, or a name on the hub.
        pairs: a csv, json, jsonl or parquet file, a data frame, or a list of dicts, with prompt, chosen and rejected.
        method: a direction found in the states (caa, sas, sas_output, corrsteer, pca, lat, probe), or a vector trained on a loss
            (bipo, yapo, dpo, reps, sft); those of sas, sas_output, corrsteer and yapo are sparse.
        layer: 0-based block whose output is steered; ``auto``: the autoencoder's, or the one whose mean difference moves held-out
            pairs most.
        sae: the autoencoder of the layer, for a sparse vector: the object, its folder or its file.
        epochs: passes over the pairs, of methods that train; see ``yapo.config.TrainConfig``.
        lr: learning rate of methods that train.
        batch_size: pairs of one step of methods that train.
        beta: weight of the preference in the loss of bipo, yapo and dpo.
        seed: of the part held out, and of the order of the pairs.
        validation: share of the prompts that are held out.
        max_prompt_tokens: pairs with a longer prompt are left out.
        min_explained_variance: share of the states' variance that the autoencoder must explain.
        plain: whether prompts are raw texts, for a model without a chat template.
        dtype: of a model that is loaded here.
        device: of a model that is loaded here, such as cuda:0; a GPU if there is one and this is None.
        tokenizer: of a model in memory; the one in the folder that it was loaded from if None.
        checkpoint: folder in which an interrupted training keeps its progress, and from which the same call goes on.
        log: receives a row of the kind start with the number of ``steps``, where there are any, and one per step and epoch.

    Returns:
        The vector. Its header names model, autoencoder, data and settings.

    Raises:
        YapoError: something cannot work; one sentence says what, and what to do.
    """
    with own_names():
        one_of("method", method, get_args(MethodName))
        settings = TrainConfig(lr=lr, epochs=epochs, batch_size=batch_size, beta=beta, seed=seed)
        _check_sae(method, sae)
        frame, left_out = read_pairs(pairs)
        parts = hold_out(frame, validation, seed)
        with opened_model(model, tokenizer, plain, dtype, device) as lm, _progress(checkpoint) as folder:
            prepared = _tokenized(lm, frame, parts, left_out, max_prompt_tokens)
            coder = None if sae is None else opened_sae(sae, lm.device)
            _check_differences(method, prepared)
            chosen, gains = _layer(lm, layer, coder, prepared)
            info = VectorInfo(
                method=method,
                space=get_method(method).space.name,
                layer=chosen,
                model=lm.source,
                model_digest=lm.digest,
                data_hash=digest([frame["pair_id"].tolist(), validation, max_prompt_tokens]),
                config_hash=digest([method, OPTIONS[method], asdict(settings), plain]),
            )
            vector = _fit(lm, coder, prepared, settings, info, folder, min_explained_variance, log)
        extra = {**vector.info.extra, "plain": plain} | ({"layers": [asdict(gain) for gain in gains]} if gains else {})
        return replace(vector, info=replace(vector.info, extra=extra))


def _check_sae(method: MethodName, sae: object) -> None:
    needs = get_method(method).space.of_features
    if needs and sae is None:
        raise YapoError(f"method={method}: its vector stands in the space of an autoencoder; give sae=, or take caa or bipo")
    if not needs and sae is not None:
        raise YapoError(f"sae: method={method} reads no autoencoder; leave it out, or take sas or yapo")


@contextmanager
def _progress(folder: Path | None) -> Iterator[Path]:
    """Give the folder of a training's progress; one that is gone at the end if None was asked for."""
    if folder is not None:
        yield folder
        return
    with scratch_folder() as scratch:
        yield scratch


def _tokenized(
    lm: LanguageModel, frame: pd.DataFrame, parts: tuple[list[int], list[int]], left_out: dict[str, int], most: int
) -> Prepared:
    """Return the pairs as token ids, without those whose prompt is too long."""
    split = pd.Series("train", frame.index)
    split.iloc[parts[1]] = "validation"
    rows, pairs, too_long = token_pairs(lm, frame.assign(split=split), most)
    if too_long:
        log.warning("%d of %d pairs are left out: their prompt is longer than %d tokens", too_long, len(frame), most)
        left_out = {**left_out, "too_long": too_long}
    train, validation = (rows.index[rows["split"] == name].tolist() for name in ("train", "validation"))
    if not train or not validation:
        raise YapoError(f"max_prompt_tokens={most}: no pair is left to {'validate' if train else 'train'}; raise it")
    return Prepared(pairs, rows, train, validation, left_out)


def _check_differences(method: MethodName, prepared: Prepared) -> None:
    """Refuse pairs in which a mean difference finds no place to read."""
    if "contrast" in OPTIONS[method] and all(first_difference(prepared.pairs[i]) is None for i in prepared.train):
        raise YapoError(f"method={method}: in no training pair do the answers differ before one of them ends; take bipo or yapo")


def _layer(lm: LanguageModel, asked: int | str, sae: SAE | None, prepared: Prepared) -> tuple[int, list[Gain]]:
    """Return the layer to steer, and what the search for it found, where there was one."""
    if asked == "auto" and sae is not None and sae.layer is not None:
        asked = sae.layer
    if asked != "auto":
        if isinstance(asked, bool) or not isinstance(asked, int):
            raise YapoError(f"layer={asked!r}: give the number of a block, counted from 0, or auto")
        lm.check_layer(asked)
        if sae is not None:
            check_fits(sae, lm.d_model, asked)
        return asked, []
    gains = gains_by_layer(lm, prepared.pairs, prepared.train, prepared.validation, BATCH)
    if not gains:
        raise YapoError("layer=auto: in no training pair do the answers differ before one of them ends; give a number")
    best = max(gains, key=lambda found: found.gain).layer
    if sae is not None:
        check_fits(sae, lm.d_model, best)
    return best, gains


def _fit(
    lm: LanguageModel,
    sae: SAE | None,
    prepared: Prepared,
    settings: TrainConfig,
    info: VectorInfo,
    folder: Path,
    least: float,
    log_row: Callable[[LogRow], None],
) -> SteeringVector:
    """Fit the method that ``info`` names, and choose the epoch."""
    method, coder = get_method(info.method), silent_sae(lm.d_model).to(lm.device) if sae is None else sae
    store = build_store(lm, info.layer, coder, prepared.pairs, BATCH, folder / "activations")
    if sae is not None:
        check_quality(sae, reconstruction_quality(sae, (states[1:] for states in store.hidden))[0], least)
    epochs = list[LogRow]()

    def keep(row: LogRow) -> None:
        if row["kind"] == "epoch":
            epochs.append(row)
        log_row(row)

    part = TrainSet(NAME, prepared.train, prepared.validation)
    inputs = FitInputs(
        store=store,
        rows=prepared.rows,
        sets=[part],
        layer=info.layer,
        sae=coder,
        models=Models(lambda _: lm, lambda _: coder, least),
        train=settings,
        options=OPTIONS[_name(info.method)],
        info=replace(info, **method.space.header(coder)),
        log=keep,
        checkpoint=folder / "training.safetensors",
    )
    if method.learns:
        log_row({"kind": "start", "steps": steps_per_epoch(part, settings) * settings.epochs})
    learned = method.fit(inputs)[NAME]
    if not epochs:  # a closed form
        keep(closed_form_row(inputs, part, learned))
    if not bool(learned.epochs[-1].any()):
        raise YapoError(f"method={info.method}: the vector is zero: the answers do not differ in what it reads; give more pairs")
    best = min(epochs, key=lambda row: float(str(row.get("validation_loss", 0.0))))
    moved = float(str(best["displacement"])) / store.mean_norm
    if moved < SMALL:
        log.warning(
            "the vector moves the states by %.2g of their norm and will hardly change an answer; raise lr or epochs", moved
        )
    epoch = int(str(best["epoch"]))
    edit = learned.intervention(lm.d_model, lambda _: coder, lm.device)
    gain = best_multiplier(lm, edit, store, prepared.validation, learned.epochs[epoch - 1], BATCH)
    if gain.gain <= 0:
        log.warning("no multiplier makes the held-out chosen answers likelier; check the vector, or give more pairs")
    vector = learned.chosen(epoch, gain.multiplier if gain.gain > 0 else 1.0)
    extra = {
        "epoch": best["epoch"],
        "seed": settings.seed,
        "settings": {"method": dict(inputs.options)} | ({"train": asdict(settings)} if method.learns else {}),
        "pairs": {"train": len(prepared.train), "validation": len(prepared.validation), "left_out": prepared.left_out},
        "displacement": moved,
        "gain": gain.gain,
        **({"validation_loss": best["validation_loss"]} if "validation_loss" in best else {}),
    }
    return replace(vector, info=replace(vector.info, extra=extra))


def _name(text: str) -> MethodName:
    return one_of("method", text, get_args(MethodName))
