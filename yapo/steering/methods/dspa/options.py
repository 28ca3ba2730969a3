"""DSPA's settings (arXiv 2603.21461). The defaults are the paper's, but for the layers, which experiments set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from yapo.checks import check_seed, check_words, require

Mode = Literal["ablate", "augment", "both"]
Normalise = Literal["pairs", "gate"]
Sparsify = Literal["threshold", "rows"]
Edits = Literal["answer", "all"]
Turns = Literal["all", "last"]


@dataclass(unsafe_hash=True)
class DspaOptions:
    """Options of the method, ``method.options``."""

    KEY: ClassVar[str] = "method.options."

    layer_in: int = 1  # the prompt's features are read after this block ...
    layer_out: int = 3  # ... and the answer's edited after this one
    alpha: float = 0.2  # step, as a share of the strongest feature of a token; λ multiplies it
    k_prompt: int = 32  # features that a prompt is known by
    k_diff: int = 16  # features that are ablated, and that are augmented
    percentile: float = 90.0  # of a feature's densities, above which its gate opens
    mode: Mode = "ablate"
    normalise: Normalise = "pairs"  # the map's rows: by all pairs, as the paper, or by the pairs that open the gate
    sparsify: Sparsify = "threshold"  # threshold, as the paper, or rows: only each row's own largest entries
    demix: bool = False  # weigh the rows by the inverse of the gates' Gram matrix (the paper's theory; not tried there)
    pairs: int | None = None  # training pairs drawn for the map; null: all
    seed: int = 0  # of the draw
    # Readings where the paper is silent (docs/decisions/0009-dspa.md).
    gate_fires: bool = True  # a gate needs a density above 0
    count_template: bool = False  # the chat template's tokens count in prompts' densities, special ones too
    count_end: bool = False  # the end-of-turn token counts in answers' densities
    edits: Edits = "answer"  # tokens that are edited: answer (the last prompt token and what follows) | all
    signed: bool = True  # only s_j < 0 are ablated and s_j > 0 augmented; else the lowest and highest, also 0
    turns: Turns = "all"  # the prompt of a later turn: all (the conversation so far) | last (the user's last turn)

    def __post_init__(self) -> None:
        key = self.KEY
        check_words(key.rstrip("."), self)
        require(self.layer_in >= 0, key + "layer_in", self.layer_in, "layers count from 0")
        require(self.layer_in <= self.layer_out, key + "layer_in", self.layer_in, f"at most layer_out={self.layer_out}")
        require(self.alpha > 0, key + "alpha", self.alpha, "a positive strength")
        require(self.k_prompt > 0, key + "k_prompt", self.k_prompt, "at least 1")
        require(self.k_diff > 0, key + "k_diff", self.k_diff, "at least 1")
        require(0 < self.percentile < 100, key + "percentile", self.percentile, "between 0 and 100")
        theory = f"de-mixing is defined for {key}normalise=pairs"
        require(not self.demix or self.normalise == "pairs", key + "demix", self.demix, theory)
        require(self.pairs is None or self.pairs > 0, key + "pairs", self.pairs, "at least 1, or null for all")
        check_seed(key + "seed", self.seed)

    @property
    def layers(self) -> list[int]:
        """Layers whose autoencoder it needs."""
        return [self.layer_in, self.layer_out]


@dataclass
class DspaSettings(DspaOptions):
    """The same as an experiment gives them, ``dspa``; conf/method/dspa.yaml takes them over."""

    KEY: ClassVar[str] = "dspa."
