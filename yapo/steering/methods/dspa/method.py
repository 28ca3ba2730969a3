"""DSPA, dynamic SAE steering (arXiv 2603.21461): a map from features of the prompt to features of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from yapo.checks import check_seed, one_of, require
from yapo.errors import YapoError
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.steering.method import FitInputs
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.fit_map import conditional_map, densities, gates
from yapo.steering.methods.dspa.map import EDITS, MODES, TURNS, ConditionalMap, Entries, MapInfo
from yapo.steering.pair_batch import TokenPair, batch_pairs
from yapo.steering.training.train_sets import TrainSet

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel
    from yapo.models.sae import SAE


@dataclass(frozen=True)
class Options:
    """``method.options``; what each means: conf/method/dspa.yaml."""

    layer_in: int
    layer_out: int
    alpha: float
    mode: str
    k_prompt: int
    k_diff: int
    percentile: float
    normalise: str
    sparsify: str
    demix: bool
    pairs: int | None
    seed: int
    gate_fires: bool
    count_template: bool
    count_end: bool
    edits: str
    signed: bool
    turns: str

    def __post_init__(self) -> None:
        key = "method.options."
        require(self.layer_in >= 0, key + "layer_in", self.layer_in, "layers count from 0")
        require(self.layer_in <= self.layer_out, key + "layer_in", self.layer_in, f"at most layer_out={self.layer_out}")
        require(self.alpha > 0, key + "alpha", self.alpha, "a positive strength")
        one_of(key + "mode", self.mode, MODES)
        require(self.k_prompt > 0, key + "k_prompt", self.k_prompt, "at least 1")
        require(self.k_diff > 0, key + "k_diff", self.k_diff, "at least 1")
        require(0 < self.percentile < 100, key + "percentile", self.percentile, "between 0 and 100")
        one_of(key + "normalise", self.normalise, ("pairs", "gate"))
        one_of(key + "sparsify", self.sparsify, ("threshold", "rows"))
        theory = "de-mixing is defined for method.options.normalise=pairs"
        require(not self.demix or self.normalise == "pairs", key + "demix", self.demix, theory)
        require(self.pairs is None or self.pairs > 0, key + "pairs", self.pairs, "at least 1, or null for all")
        check_seed(key + "seed", self.seed)
        one_of(key + "edits", self.edits, EDITS)
        one_of(key + "turns", self.turns, TURNS)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Options:
        """From the configuration; refuses a missing or unknown key."""
        names = [item.name for item in fields(cls)]
        for name in {*names} ^ {*options}:
            raise YapoError(f"method.options.{name}: DSPA reads {', '.join(names)}; give these and no others")
        return cls(**options)


class DSPA:
    """Closed form: counts of which features fire. The vector is α alone; the map goes beside it."""

    name = "dspa"
    space = "map"
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, Tensor]:
        """``[1, 1]`` for each set: α. Runs the model up to ``layer_out`` once over every training pair."""
        options, elsewhere = Options.of(inputs.options), inputs.elsewhere
        if elsewhere is None:
            raise YapoError("dspa works at layers of its own, for which no model was given; fit it in the stage train")
        lm = elsewhere.language_model()
        lm.check_layer(options.layer_out)
        sae_in, sae_out = (elsewhere.autoencoder(layer).to(lm.device) for layer in (options.layer_in, options.layer_out))
        chosen = {part.name: _training_pairs(part, options) for part in inputs.sets}
        used = sorted(set().union(*chosen.values()))
        pairs = [inputs.store.pairs[i] for i in used]
        counted = count(lm, pairs, options, sae_in, sae_out, inputs.train.rows_per_pass, elsewhere.min_explained_variance)
        vectors = {}
        for part in inputs.sets:
            made = _map(part.name, counted.of(np.searchsorted(used, chosen[part.name])), options, lm, sae_in, sae_out)
            elsewhere.keep(part.name, made)
            vectors[part.name] = torch.tensor([[options.alpha]])
            validation = [inputs.store.pairs[i] for i in part.validation]
            moved = displacement(lm, Conditional(made, sae_in, sae_out), validation, options.alpha, inputs.train.rows_per_pass)
            size = {"norm": options.alpha, "l0": len(made.entries.values), "displacement": moved}
            inputs.log({"kind": "epoch", "setting": part.name, "step": 0, "epoch": 1, **size})
        return vectors


@dataclass(frozen=True)
class Counted:
    """What the map is made of.

    Attributes:
        prompts: ρ, ``[pairs, d_in]``.
        difference: ρ̃ of the chosen answer minus ρ̃ of the rejected one, ``[pairs, d_out]``.
    """

    prompts: sparse.csr_matrix
    difference: sparse.csr_matrix

    def of(self, rows: npt.NDArray[np.int64]) -> Counted:
        """Of some pairs."""
        return Counted(self.prompts[rows], self.difference[rows])


@torch.inference_mode()
def count(
    lm: LanguageModel, pairs: Sequence[TokenPair], options: Options, sae_in: SAE, sae_out: SAE, batch_size: int, explained: float
) -> Counted:
    """Densities of every pair. Its prompt runs once for both answers.

    Args:
        batch_size: pairs of one forward pass.
        explained: share of the variance of the first batch's states that each autoencoder must explain.
    """
    prompts: list[sparse.csr_matrix] = []
    differences: list[sparse.csr_matrix] = []
    for part in _chunks(counted_pairs(pairs, options), batch_size):
        batch = batch_pairs(part).to(lm.device)
        ids = batch.packed([torch.tensor(pair.tokens, device=lm.device) for pair in part])
        masks = lm.masks(batch.allowed, batch.positions, batch.positions)
        early = lm.blocks(lm.embed(ids), 0, options.layer_in + 1, batch.positions, masks)
        late = lm.blocks(early, options.layer_in + 1, options.layer_out + 1, batch.positions, masks)
        if not prompts:
            for sae, states in ((sae_in, early), (sae_out, late)):
                check_quality(sae, reconstruction_quality(sae, [states[batch.real & (batch.positions > 0)]])[0], explained)
        side = batch.packed([_sides(lm, pair, options) for pair in part])
        rho, chosen, rejected = (
            densities(sae, states[side == which], batch.pair[side == which], len(part))
            for which, sae, states in ((1, sae_in, early), (2, sae_out, late), (3, sae_out, late))
        )
        difference = chosen - rejected
        difference.eliminate_zeros()
        prompts.append(rho)
        differences.append(difference)
    return Counted(sparse.vstack(prompts, format="csr"), sparse.vstack(differences, format="csr"))


@torch.inference_mode()
def displacement(lm: LanguageModel, edit: Conditional, pairs: Sequence[TokenPair], strength: float, batch_size: int) -> float:
    """How far the edit moves the residual stream at the tokens that predict the chosen answer, on average."""
    from yapo.models.language_model import causal, pad_left  # imports transformers, which other methods never need

    u = torch.tensor([strength], device=lm.device)
    moved = []
    for part in _chunks(pairs, batch_size):
        ids, real = pad_left([pair.prompt + pair.chosen[:-1] for pair in part], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks = lm.masks(allowed, positions, positions)
        early = lm.blocks(lm.embed(ids), 0, edit.info.layer_in + 1, positions, masks)
        late = lm.blocks(early, edit.info.layer_in + 1, edit.info.layer_out + 1, positions, masks)
        ends = torch.tensor([[len(pair.prompt)] for pair in part], device=lm.device)
        context = edit.context(early, ids, real & (positions < ends))
        moved.append(edit.changes(late, u, real & (positions >= ends - 1), context).norm(dim=-1))
    return float(torch.cat(moved).mean())


def counted_pairs(pairs: Sequence[TokenPair], options: Options) -> Sequence[TokenPair]:
    """Pairs whose last answer token, which a pass leaves out, is one that does not count."""
    if not options.count_end:
        return pairs
    return [replace(p, chosen=p.chosen + p.chosen[-1:], rejected=p.rejected + p.rejected[-1:]) for p in pairs]


def prompt_counts(lm: LanguageModel, pair: TokenPair, options: Options) -> Tensor:
    """True on the tokens of a pair's prompt, one user's turn, that count in its densities."""
    ids = torch.tensor([pair.prompt])
    return torch.ones_like(ids[0], dtype=torch.bool) if options.count_template else lm.tokenizer.template.content(ids)[0]


def _sides(lm: LanguageModel, pair: TokenPair, options: Options) -> Tensor:
    """What each token of a pair counts for: 1 the prompt, 2 the chosen answer, 3 the rejected one, 0 nothing."""
    prompt = prompt_counts(lm, pair, options).long()
    answers = [torch.full((len(answer) - 1,), side) for side, answer in ((2, pair.chosen), (3, pair.rejected))]
    return torch.cat([prompt, *answers]).to(lm.device)


def _training_pairs(part: TrainSet, options: Options) -> list[int]:
    """The pairs of a set that its map is made of: all, or N of them drawn by the seed."""
    if options.pairs is None:
        return part.train
    if options.pairs > len(part.train):
        raise YapoError(
            f"method.options.pairs={options.pairs}: {part.name} has {len(part.train)} training pairs; ask for no more, or null"
        )
    order = np.random.default_rng([options.seed, *part.name.encode()]).permutation(len(part.train))
    return [part.train[i] for i in sorted(order[: options.pairs])]


def _map(name: str, counted: Counted, options: Options, lm: LanguageModel, sae_in: SAE, sae_out: SAE) -> ConditionalMap:
    opens = gates(counted.prompts, options.percentile, options.gate_fires)
    if not opens.nnz:
        raise YapoError(
            f"{name}: no gate opens, since {sae_in.source} fires on no token of any training prompt; give another layer_in"
        )
    made = conditional_map(opens, counted.difference, options.normalise, options.sparsify, options.k_diff)
    if not made.nnz:
        raise YapoError(
            f"{name}: the map is empty, since no feature of {sae_out.source} tells chosen from rejected; give another layer_out"
        )
    info = MapInfo(
        layer_in=options.layer_in,
        layer_out=options.layer_out,
        sae_in=sae_in.source,
        sae_in_digest=sae_in.digest,
        width_in=sae_in.d_sae,
        sae_out=sae_out.source,
        sae_out_digest=sae_out.digest,
        width_out=sae_out.d_sae,
        pairs=opens.shape[0],
        mode=options.mode,
        k_prompt=options.k_prompt,
        k_diff=options.k_diff,
        demix=options.demix,
        percentile=options.percentile,
        normalise=options.normalise,
        sparsify=options.sparsify,
        template=lm.tokenizer.template,
        gate_fires=options.gate_fires,
        count_template=options.count_template,
        count_end=options.count_end,
        edits=options.edits,
        signed=options.signed,
        turns=options.turns,
    )
    opened = torch.from_numpy(np.stack(opens.nonzero()).astype(np.int64)) if options.demix else None
    return ConditionalMap(info, Entries.of(made), opened)


def _chunks(pairs: Sequence[TokenPair], size: int) -> Iterator[Sequence[TokenPair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
