"""The fit of DSPA's map, from features of prompts to features of preferred answers (arXiv 2603.21461, section 3.1).

For preference pairs k = 1..N with prompt x_k and answers y⁺_k, y⁻_k:

    ρ_i(x)     share of the prompt's tokens on which feature i of the input autoencoder fires
    ρ̃_j(x, y)  share of the answer's tokens on which feature j of the output autoencoder fires
    g_i(x)     1 where ρ_i(x) ≥ τ_i (and ρ_i(x) > 0), the p-th percentile of ρ_i over the N prompts
    A          (1/N) Σ_k g(x_k) [ρ̃(x_k, y⁺_k) - ρ̃(x_k, y⁻_k)]ᵀ

All of it is sparse and stays so: no array of input features times output features is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

from yapo.models.sae import SAE
from yapo.steering.methods.dspa.options import Normalise, Sparsify

BLOCK = 1024  # features whose densities, or rows of A, are held at once


def densities(sae: SAE, hidden: Tensor, owner: Tensor, owners: int) -> sparse.csr_matrix:
    """Return the share of each owner's tokens on which each feature fires, ``[owners, d_sae]``.

    Args:
        sae: the autoencoder.
        hidden: residual stream of the tokens that count, ``[tokens, d_model]``.
        owner: whose each token is, ``[tokens]``.
        owners: how many there are. One without tokens has density 0.
    """
    ids, _, fired = sae.encode_sparse(hidden)
    rows = owner.repeat_interleave(fired).cpu().numpy()
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, ids.cpu().numpy())), shape=(owners, sae.d_sae))
    tokens = np.bincount(owner.cpu().numpy(), minlength=owners)
    counts.data /= np.repeat(tokens, np.diff(counts.indptr))  # a division each, so that equal shares are equal numbers
    return counts


def gates(prompts: sparse.csr_matrix, percentile: float, fires: bool = True) -> sparse.csr_matrix:
    """Return the prompts that open each feature's gate, as 1 in ``[prompts, d_sae]``.

    Args:
        prompts: their densities, ``[prompts, d_sae]``.
        percentile: p.
        fires: whether a gate needs ρ > 0. Without it a gate whose τ is 0 is open on every prompt, as most are, and nothing is
            sparse any more.
    """
    by_feature = prompts.tocsc()
    tau = np.zeros(prompts.shape[1])
    for part in _blocks(np.flatnonzero(np.diff(by_feature.indptr))):
        tau[part] = np.quantile(by_feature[:, part].toarray(), percentile / 100, axis=0)
    opens = prompts.copy()
    opens.data = (prompts.data >= tau[prompts.indices]).astype(np.float64)
    opens.eliminate_zeros()
    if fires:
        return opens
    number, always = prompts.shape[0], np.flatnonzero(tau == 0)
    rows = np.arange(number + 1) * len(always)
    everywhere = sparse.csr_matrix((np.ones(rows[-1]), np.tile(always, number), rows), shape=prompts.shape)
    return opens.maximum(everywhere).tocsr()


def conditional_map(
    opens: sparse.csr_matrix, difference: sparse.csr_matrix, normalise: Normalise, sparsify: Sparsify, k: int
) -> sparse.csr_matrix:
    """Return A without its small entries, ``[features of the prompt, features of the answer]`` float32.

    Args:
        opens: gates, ``[N, d_in]``.
        difference: ρ̃ of the chosen answer minus ρ̃ of the rejected one, ``[N, d_out]``.
        normalise: "pairs" divides by N, as the paper does; "gate" divides row i by the number of prompts that open it, so that
            it is the mean over them.
        sparsify: "rows" keeps what is among its row's k largest positive or k largest negative entries (ties stay), and nothing
            else; "threshold", the paper's rule, keeps whatever is as large as the smallest entry that "rows" would keep.
        k: how many.
    """
    by_feature = opens.T.tocsr()
    opened = np.diff(by_feature.indptr)
    live = np.flatnonzero(opened)

    def blocks() -> Iterator[sparse.csr_matrix]:
        for part in _blocks(live):
            block = by_feature[part] @ difference
            block.data /= np.repeat(opened[part], np.diff(block.indptr)) if normalise == "gate" else opens.shape[0]
            block.data = block.data.astype(np.float32)  # so that entries equal but for rounding tie
            block.eliminate_zeros()
            yield block

    if sparsify == "rows":
        kept = [_where(block, _leading(block, k)) for block in blocks()]
    else:
        tau = min((np.abs(b.data[_leading(b, k)]).min() for b in blocks() if b.nnz), default=0.0)
        kept = [_where(block, np.abs(block.data) >= tau) for block in blocks()]
    stacked = sparse.vstack(kept, format="coo") if kept else sparse.coo_matrix((0, difference.shape[1]))
    shape = (opens.shape[1], difference.shape[1])
    return sparse.csr_matrix((stacked.data, (live[stacked.row], stacked.col)), shape=shape, dtype=np.float32)


def _leading(matrix: sparse.csr_matrix, k: int) -> npt.NDArray[np.bool_]:
    """Find the entries among the k largest positive or the k largest negative ones of their row; those equal to the k-th too."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    side, size = 2 * rows + (matrix.data < 0), np.abs(matrix.data)
    order = np.lexsort((-size, side))
    sides, firsts, lengths = np.unique(side[order], return_index=True, return_counts=True)
    least = np.zeros(2 * matrix.shape[0])
    least[sides] = size[order][firsts + np.minimum(lengths, k) - 1]
    leading: npt.NDArray[np.bool_] = size >= least[side]
    return leading


def _where(matrix: sparse.csr_matrix, keep: npt.NDArray[np.bool_]) -> sparse.csr_matrix:
    matrix.data = np.where(keep, matrix.data, 0)
    matrix.eliminate_zeros()
    return matrix


def _blocks(features: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(features), BLOCK):
        yield features[start : start + BLOCK]
