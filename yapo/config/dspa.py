"""DSPA's settings that depend on the model and its autoencoders; conf/method/dspa.yaml takes them over and has the others."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.checks import require


@dataclass
class DspaSettings:
    """Which layers DSPA reads and edits, and how much; experiments set them. The defaults but for the layers are the paper's."""

    layer_in: int = 1  # the prompt's features are read after this block ...
    layer_out: int = 3  # ... and the answer's edited after this one
    alpha: float = 0.2  # step, as a share of the strongest feature of a token
    k_prompt: int = 32  # features that a prompt is known by
    k_diff: int = 16  # features that are ablated, and that are augmented
    percentile: float = 90.0  # of a feature's densities, above which its gate opens
    mode: str = "ablate"  # ablate | augment | both
    sparsify: str = "threshold"  # threshold | rows
    # Readings where the paper is silent.
    gate_fires: bool = True  # a gate needs a density above 0
    count_template: bool = False  # what the chat template writes counts in prompts' densities, special tokens too
    count_end: bool = False  # the end-of-turn token counts in answers' densities
    edits: str = "answer"  # tokens that are edited: answer (the last prompt token and what follows) | all
    signed: bool = True  # only s_j < 0 are ablated and only s_j > 0 augmented
    turns: str = "all"  # the prompt of a later turn: all (the conversation so far) | last (the user's last turn)

    def __post_init__(self) -> None:
        require(self.layer_in >= 0, "dspa.layer_in", self.layer_in, "layers count from 0")
        require(self.layer_in <= self.layer_out, "dspa.layer_in", self.layer_in, f"at most dspa.layer_out={self.layer_out}")
