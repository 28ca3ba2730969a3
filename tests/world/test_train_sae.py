"""The embedded world's own part of training an autoencoder: which rows it is not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from world.build.train_sae import RUN, SAE_CONFIG, train_and_measure
from yapo.errors import YapoError
from yapo.models.sae import load_sae
from yapo.models.sae_quality import measure

SHORT = replace(SAE_CONFIG, width=32, k=4, steps=10, batch_size=64, warmup_steps=2, decay_steps=5)


def test_held_out_rows_are_measured_and_not_trained_on(tmp_path: Path) -> None:
    rows = torch.randn(10_000, 16, generator=torch.Generator().manual_seed(0))
    report = train_and_measure(rows, SHORT, tmp_path / "a", "tiny", 2)
    held_out = torch.cat([rows[start : start + RUN] for start in (9 * RUN, 19 * RUN, 29 * RUN, 39 * RUN)])
    assert report.n_tokens == len(held_out) == 3 * RUN + 16
    assert report == measure(load_sae(tmp_path / "a"), [held_out])
    rows[9 * RUN : 10 * RUN] += 1.0
    assert train_and_measure(rows, SHORT, tmp_path / "b", "tiny", 2) != report
    a, b = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert a == b


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match="100 rows, 2560 needed"):
        train_and_measure(torch.zeros(100, 16), SHORT, tmp_path / "sae", "tiny", 2)
    assert not (tmp_path / "sae").exists()
