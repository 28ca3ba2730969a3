"""DSPA, dynamic SAE steering (arXiv 2603.21461): a map from features of the prompt to features of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.sae_quality import check_quality, reconstruction_quality
from yapo.steering.method import FitInputs, read_options
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.fit_map import conditional_map, densities, gates
from yapo.steering.methods.dspa.map import MAP_CONVENTION, ConditionalMap, Entries, MapInfo
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.steering.methods.dspa.space import MapSpace
from yapo.steering.objective import chunks
from yapo.steering.pair_batch import TokenPair, batch_pairs
from yapo.steering.training.train_sets import TrainSet
from yapo.steering.vector import TrainedVector

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel
    from yapo.models.sae import SAE


class DSPA:
    """Closed form: counts of which features fire. The vector is α alone; the map goes beside it."""

    space = MapSpace()
    learns = False

    def fit(self, inputs: FitInputs) -> dict[str, TrainedVector]:
        """Return ``[1, 1]`` for each set, α, with the map. Runs the model up to ``layer_out`` once over every training pair."""
        options, models = read_options(DspaOptions, inputs.options), inputs.models
        lm = models.language_model(0)
        lm.check_layer(options.layer_out)
        sae_in, sae_out = (models.autoencoder(layer).to(lm.device) for layer in (options.layer_in, options.layer_out))
        training_pairs = {part.name: _training_pairs(part, options) for part in inputs.sets}
        used = sorted(set().union(*training_pairs.values()))
        pairs = [inputs.store.pairs[i] for i in used]
        counts = count(lm, pairs, options, sae_in, sae_out, inputs.train.rows_per_pass, models.min_explained_variance)
        vectors = {}
        header = {"layer": options.layer_out, "sae": sae_out.source, "sae_digest": sae_out.digest, "convention": MAP_CONVENTION}
        for part in inputs.sets:
            found = _map(part.name, counts.of(np.searchsorted(used, training_pairs[part.name])), options, lm, sae_in, sae_out)
            validation = [inputs.store.pairs[i] for i in part.validation]
            moved = mean_displacement(
                lm, Conditional(found, sae_in, sae_out), validation, options.alpha, inputs.train.rows_per_pass
            )
            size = {"norm": options.alpha, "l0": len(found.entries.values), "displacement": moved}
            inputs.log({"kind": "epoch", "setting": part.name, "step": 0, "epoch": 1, **size})
            vectors[part.name] = inputs.vector(part, torch.tensor([[options.alpha]]), found, **header)
        return vectors


@dataclass(frozen=True)
class Densities:
    """Densities of pairs, of which the map is made.

    Attributes:
        prompts: ρ, ``[pairs, d_in]``.
        difference: ρ̃ of the chosen answer minus ρ̃ of the rejected one, ``[pairs, d_out]``.
    """

    prompts: sparse.csr_matrix
    difference: sparse.csr_matrix

    def of(self, rows: npt.NDArray[np.int64]) -> Densities:
        """Return the densities of some pairs."""
        return Densities(self.prompts[rows], self.difference[rows])


@torch.inference_mode()
def count(
    lm: LanguageModel,
    pairs: Sequence[TokenPair],
    options: DspaOptions,
    sae_in: SAE,
    sae_out: SAE,
    batch_size: int,
    explained: float,
) -> Densities:
    """Count the densities of every pair. Its prompt runs once for both answers.

    Args:
        batch_size: pairs of one forward pass.
        explained: share of the variance of the first batch's states that each autoencoder must explain.
    """
    prompts: list[sparse.csr_matrix] = []
    differences: list[sparse.csr_matrix] = []
    for part in chunks(list(counted_pairs(pairs, options)), batch_size):
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
    return Densities(sparse.vstack(prompts, format="csr"), sparse.vstack(differences, format="csr"))


@torch.inference_mode()
def mean_displacement(
    lm: LanguageModel, edit: Conditional, pairs: Sequence[TokenPair], strength: float, batch_size: int
) -> float:
    """Return the mean distance by which the edit moves the residual stream at the tokens that predict the chosen answer."""
    from yapo.models.language_model import causal, pad_left  # imports transformers, which other methods never need

    u = torch.tensor([strength], device=lm.device)
    moved = []
    for part in chunks(list(pairs), batch_size):
        ids, real = pad_left([pair.prompt + pair.chosen[:-1] for pair in part], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks = lm.masks(allowed, positions, positions)
        early = lm.blocks(lm.embed(ids), 0, edit.info.layer_in + 1, positions, masks)
        late = lm.blocks(early, edit.info.layer_in + 1, edit.info.layer_out + 1, positions, masks)
        ends = torch.tensor([[len(pair.prompt)] for pair in part], device=lm.device)
        context = edit.context(early, ids, real & (positions < ends))
        moved.append(edit.changes(late, u, real & (positions >= ends - 1), context).norm(dim=-1))
    return float(torch.cat(moved).mean())


def counted_pairs(pairs: Sequence[TokenPair], options: DspaOptions) -> Sequence[TokenPair]:
    """Return pairs whose last answer token, which a pass leaves out, is one that does not count."""
    if not options.count_end:
        return pairs
    return [replace(p, chosen=p.chosen + p.chosen[-1:], rejected=p.rejected + p.rejected[-1:]) for p in pairs]


def prompt_counts(lm: LanguageModel, pair: TokenPair, options: DspaOptions) -> Tensor:
    """Find the tokens of a pair's prompt, one user's turn, that count in its densities."""
    ids = torch.tensor([pair.prompt])
    return torch.ones_like(ids[0], dtype=torch.bool) if options.count_template else lm.tokenizer.template.content(ids)[0]


def _sides(lm: LanguageModel, pair: TokenPair, options: DspaOptions) -> Tensor:
    """Return what each token of a pair counts for: 1 the prompt, 2 the chosen answer, 3 the rejected one, 0 nothing."""
    prompt = prompt_counts(lm, pair, options).long()
    answers = [torch.full((len(answer) - 1,), side) for side, answer in ((2, pair.chosen), (3, pair.rejected))]
    return torch.cat([prompt, *answers]).to(lm.device)


def _training_pairs(part: TrainSet, options: DspaOptions) -> list[int]:
    """Return the pairs of a set that its map is made of: all, or N of them drawn by the seed."""
    if options.pairs is None:
        return part.train
    if options.pairs > len(part.train):
        raise YapoError(
            f"method.options.pairs={options.pairs}: {part.name} has {len(part.train)} training pairs; ask for no more, or null"
        )
    order = np.random.default_rng([options.seed, *part.name.encode()]).permutation(len(part.train))
    return [part.train[i] for i in sorted(order[: options.pairs])]


def _map(name: str, counts: Densities, options: DspaOptions, lm: LanguageModel, sae_in: SAE, sae_out: SAE) -> ConditionalMap:
    opens = gates(counts.prompts, options.percentile, options.gate_fires)
    if not opens.nnz:
        raise YapoError(
            f"{name}: no gate opens, since {sae_in.source} fires on no token of any training prompt; give another layer_in"
        )
    made = conditional_map(opens, counts.difference, options.normalise, options.sparsify, options.k_diff)
    if not made.nnz:
        raise YapoError(
            f"{name}: the map is empty, since no feature of {sae_out.source} tells chosen from rejected; give another layer_out"
        )
    shared = {item.name: getattr(options, item.name) for item in fields(options) if item.name in _MAP_KEYS}
    info = MapInfo(
        **shared | {"pairs": opens.shape[0]},
        sae_in=sae_in.source,
        sae_in_digest=sae_in.digest,
        width_in=sae_in.d_sae,
        sae_out=sae_out.source,
        sae_out_digest=sae_out.digest,
        width_out=sae_out.d_sae,
        template=lm.tokenizer.template,
    )
    opened = torch.from_numpy(np.stack(opens.nonzero()).astype(np.int64)) if options.demix else None
    return ConditionalMap(info, Entries.of(made), opened)


_MAP_KEYS = {item.name for item in fields(MapInfo)}


METHOD = DSPA()
