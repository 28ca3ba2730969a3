"""DSPA, one change at a time, and in judged conversations."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from yapo.checks import Setting, Task, check_path, one_of, require
from yapo.steering.methods.dspa.options import DspaOptions
from yapo.studies.base import Study, figure_files, table_files

# Options of DSPA that its study may change; layers and pairs have lists of their own.
_CHANGED = tuple(option.name for option in fields(DspaOptions) if option.name not in ("layer_in", "layer_out", "pairs", "seed"))


@dataclass
class DspaConfig:
    """DSPA's own studies: one change at a time from the experiment's setting, and judged chat.

    ``changes`` names options of the method with the values to try; the experiment's own is among them or not.
    """

    countries: list[str] = field(default_factory=list)
    setting: Setting = "both"  # the vectors': the questions that they were trained on
    pairs: list[int] = field(default_factory=lambda: [25, 50, 100, 250])  # N; all there are is tried anyway
    subsets: int = 3  # draws of each N
    changes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "k_prompt": [8, 32, 128],
            "k_diff": [4, 16, 64],
            "alpha": [0.05, 0.1, 0.2, 0.4, 0.8],
            "mode": ["ablate", "augment", "both"],
            "percentile": [75.0, 90.0, 95.0],
            "normalise": ["pairs", "gate"],
            "sparsify": ["threshold", "rows"],
            "demix": [True],
        }
    )
    layers: list[int] = field(default_factory=list)  # of the grid of layer pairs; empty: those that some method may use
    conversations: str = "world/questions/mt.jsonl"  # in MT-Bench's format
    instructions: str = "world/questions/instructions.jsonl"  # in AlpacaEval's format
    chat_task: Task = "open_ended"  # of each method's vectors that answer them
    max_new_tokens: int | None = None  # of one answer in them; null: as many as of an open-ended answer

    def __post_init__(self) -> None:
        key = "studies.dspa_study."
        for name, counts in (("pairs", self.pairs), ("layers", self.layers)):
            require(len(set(counts)) == len(counts), key + name, counts, "name each once")
        require(all(count > 0 for count in self.pairs), key + "pairs", self.pairs, "at least 1 each")
        require(all(layer >= 0 for layer in self.layers), key + "layers", self.layers, "layers count from 0")
        for name in self.changes:
            one_of(key + "changes", name, _CHANGED)
        require(self.subsets > 0, key + "subsets", self.subsets, "at least 1")
        check_path(key + "conversations", self.conversations)
        check_path(key + "instructions", self.instructions)
        limit = self.max_new_tokens
        require(limit is None or limit > 0, key + "max_new_tokens", limit, "at least 1, or null")


STUDY = Study(
    title="DSPA's own studies",
    files=[*table_files("dspa_study", "dspa_study_chat", "dspa_study_flops"), *figure_files("dspa_study")],
    rows=["dspa_study", "dspa_flops", "dspa_chat"],
    task_keys=("studies.dspa_study.chat_task",),
    setting_keys=("studies.dspa_study.setting",),
    method="dspa",
)
