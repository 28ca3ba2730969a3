"""The edit in the space of the autoencoder alone, forward and backward: eq. 3 as written against its cancelled form.

python -m benchmarks.sae_edit [--quick]

Ours is timed as it runs in training (codes known, features of the training data only) and once more with the encoding of
those features, which is what it costs where nothing is stored. Results and gradients are compared before anything is timed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from benchmarks import measure
from benchmarks.published import dense_edit
from benchmarks.shapes import free_bytes, random_sae
from yapo.models.sae import SAE
from yapo.steering.interventions import Sparse
from yapo.steering.sparse_codes import SparseCodes

TABLE = "SAE edit, forward and backward"


@dataclass(frozen=True)
class Case:
    """One size. ``touched`` features can fire at all, ``l0`` of them do on the average token."""

    d_model: int
    d_sae: int
    tokens: int
    l0: int
    touched: int

    @property
    def bytes(self) -> float:
        """Needed at once: the autoencoder, a few dense codes and their gradient."""
        return 4.0 * (3 * self.d_model * self.d_sae + 6 * self.tokens * self.d_sae)


FULL = [
    Case(2304, 65536, 512, 70, 16384),
    Case(2304, 16384, 512, 70, 8192),
    Case(2304, 65536, 512, 20, 16384),
    Case(2304, 65536, 512, 200, 16384),
    Case(2304, 65536, 512, 70, 2048),
    Case(2304, 65536, 512, 70, 65536),
]
QUICK = [Case(256, 4096, 64, 40, 1024), Case(256, 4096, 64, 40, 4096)]


def autoencoder(states: Tensor, case: Case, seed: int) -> SAE:
    """A random autoencoder of which only ``touched`` features, spread over all of it, can fire on ``states``."""
    part = random_sae(states, case.touched, case.l0, seed)
    assert part.threshold is not None
    whole = random_sae(states, case.d_sae, case.l0, seed)
    chosen = torch.randperm(case.d_sae, generator=torch.Generator().manual_seed(seed))[: case.touched].to(states.device)
    threshold = torch.full_like(whole.b_enc, float("inf"))
    threshold[chosen] = part.threshold
    whole.W_enc[:, chosen], whole.W_dec[chosen] = part.W_enc, part.W_dec
    return replace(whole, threshold=threshold)


def measure_case(case: Case, repeats: int, options: measure.Options, report: measure.Report) -> None:
    """One row."""
    device = options.device
    generator = torch.Generator(device).manual_seed(options.seed)
    hidden = torch.randn(1, case.tokens, case.d_model, generator=generator, device=device)
    upstream = torch.randn(hidden.shape, generator=generator, device=device)
    sae = autoencoder(hidden[0], case, options.seed)
    plain = Sparse(sae)
    fitted, (codes,) = plain.compact([plain.codes(hidden).to(torch.device("cpu"))])
    codes = SparseCodes(codes.ids.long(), codes.values, codes.counts).to(device)
    narrow = nn.Parameter(torch.randn(fitted.width, generator=generator, device=device))
    wide = nn.Parameter(fitted.expand(narrow.detach()))
    owner, live = torch.zeros(1, 1, dtype=torch.long, device=device), torch.ones(1, case.tokens, dtype=torch.bool, device=device)

    def dense(_turn: int) -> Tensor:
        wide.grad = None
        edited = dense_edit(sae, hidden, wide)
        edited.backward(upstream)  # type: ignore[no-untyped-call]
        return edited.detach()

    def ours(_turn: int) -> Tensor:
        narrow.grad = None
        edited = fitted.edit(hidden, codes, fitted.edit_state(narrow[None]), owner, live)
        edited.backward(upstream)  # type: ignore[no-untyped-call]
        return edited.detach()

    def encoding(_turn: int) -> Tensor:
        narrow.grad = None
        edited = fitted.edit(hidden, fitted.codes(hidden), fitted.edit_state(narrow[None]), owner, live)
        edited.backward(upstream)  # type: ignore[no-untyped-call]
        return edited.detach()

    # float32 sums of tens of thousands of terms in two orders: relative to the largest entry.
    difference = float((dense(0) - ours(0)).abs().max() / hidden.abs().max())
    assert wide.grad is not None and narrow.grad is not None
    gradient = float((wide.grad - fitted.expand(narrow.grad)).abs().max() / wide.grad.abs().max())
    assert difference < 1e-3, f"edits differ by {difference}"
    assert gradient < 1e-3, f"gradients differ by {gradient}"
    times = measure.take_turns({"dense": dense, "ours": ours, "encoding": encoding}, repeats, device)
    by_turn = measure.ratios(times["dense"], times["ours"])
    report.add(
        TABLE,
        {
            "d_model": case.d_model,
            "features": case.d_sae,
            "tokens": case.tokens,
            "fire on a token": float(codes.counts.float().mean()),
            "fire anywhere": fitted.width,
            "eq. 3, ms": 1e3 * measure.median(times["dense"]),
            "ours, ms": 1e3 * measure.median(times["ours"]),
            "ratio": measure.median(by_turn),
            "quartiles": measure.quartiles(by_turn),
            "ratio with encoding": measure.median(measure.ratios(times["dense"], times["encoding"])),
            "edits differ by": difference,
            "gradients by": gradient,
            "eq. 3, peak GB": measure.peak_gigabytes(lambda: dense(0), device),
            "ours, peak GB": measure.peak_gigabytes(lambda: ours(0), device),
        },
    )


def main() -> None:
    """Run all cases."""
    options = measure.options("the SAE edit alone", [], [])
    report = measure.Report("sae_edit", {"number type": "float32", "seed": options.seed})
    for case in QUICK if options.quick else FULL:
        if case.bytes > free_bytes(options.device):
            report.skip(f"{case}: needs about {case.bytes / 1e9:.1f} GB, {free_bytes(options.device) / 1e9:.1f} GB are free")
            continue
        measure_case(case, 2 if options.quick else 3, options, report)
    report.finish(options)


if __name__ == "__main__":
    main()
