"""Stage ``costs.adapters``: the arithmetic of one country's adapters, counted by torch, and the size of their files."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from torch.utils.flop_counter import FlopCounterMode

from yapo.config import Config, TrainConfig
from yapo.dag.adapters import check_adapter_training
from yapo.data.sources import known_countries
from yapo.files import scratch_folder, write_parquet
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.pairs import read_prepared
from yapo.steering.lora.adapter import WEIGHTS, Adapter
from yapo.steering.training.train_sets import fewer_facts, train_sets
from yapo.studies.costs import counted_setting
from yapo.studies.costs.counts import SAMPLE, count_token

READS = (
    "model", "adapters.rank", "adapters.alpha", "adapters.modules", "adapters.lr", "train.epochs", "train.batch_size",
    "train.beta", "train.share", "train.warmup_steps", "train.weight_decay", "train.grad_clip", "train.seed", "tasks", "settings",
)  # fmt: skip


def main(config: Config) -> None:
    """Write ``studies/costs_<adapter>.parquet`` for ``country`` and each of ``adapters.rows``, with the columns of ``costs.run``.

    A fit is counted on one epoch of ``SAMPLE`` pairs and scaled; DPO's has the pass with the adapter switched off in it, so that
    there is no preparation. An edit costs nothing: the adapter is merged into the weights.
    """
    check_adapter_training(config)
    from yapo.steering.lora.train import train_adapter

    paths, language_folder = Paths.of(config), known_countries(config.data)[config.country]
    setting, train = counted_setting(config.settings), config.train
    same = ("batch_size", "beta", "warmup_steps", "weight_decay", "grad_clip", "seed")
    short = TrainConfig(epochs=1, **{name: getattr(train, name) for name in same})
    token_flops = count_token(load_language_model(config.model))
    prepared = {task: read_prepared(paths, language_folder, config.country, task) for task in config.tasks}
    for kind in config.adapters.rows:
        rows = []
        for task, pairs in prepared.items():
            (part,) = train_sets(pairs.rows, [setting])
            seen = fewer_facts(part, pairs.rows, train.share, train.seed).train
            sample = [pairs.store.pairs[row] for row in seen[:SAMPLE]]
            lm = load_language_model(replace(config.model, attention="eager"))
            with scratch_folder() as scratch, FlopCounterMode(display=False) as counter:
                train_adapter(kind, lm, sample, config.adapters, short, scratch)
            chosen = paths.country(language_folder, config.country) / "adapters" / kind / f"{task}-{setting}"
            factors = Adapter.load(chosen).factors.values()
            rows.append(
                {
                    "task": task,
                    "setting": setting,
                    "pairs": len(part.train),
                    "passes": train.epochs,
                    "prepare_flops": 0,
                    "fit_flops": int(counter.get_total_flops()) * train.epochs * len(seen) // len(sample),
                    "edit_flops": 0,
                    "token_flops": token_flops,
                    "values": sum(int((factor != 0).sum()) for pair in factors for factor in pair),
                    "file_bytes": (chosen / WEIGHTS).stat().st_size,
                }
            )
        path = paths.study_rows(f"costs_{kind}", language_folder, config.country)
        write_parquet(path, pd.DataFrame(rows).assign(country=config.country, method=kind))


if __name__ == "__main__":
    run(main)
