"""Stage ``train_adapter``: one country's low-rank adapters (LoRA), for every task and setting."""

from __future__ import annotations

import importlib.metadata
import logging
from dataclasses import asdict, replace
from operator import attrgetter

from yapo.config import Config
from yapo.dag.adapters import check_adapter_training
from yapo.dag.scope import check_country
from yapo.data.sources import known_countries
from yapo.files import digest, scratch_folder, write_json
from yapo.models.language_model import load_language_model
from yapo.paths import Paths
from yapo.stages.app import run
from yapo.stages.pairs import read_prepared
from yapo.stages.spent import Spent
from yapo.steering.training.train_sets import fewer_facts, train_sets

READS = (
    "model", "adapters.rank", "adapters.alpha", "adapters.modules", "adapters.lr", "train.epochs", "train.batch_size",
    "train.beta", "train.share", "train.warmup_steps", "train.weight_decay", "train.grad_clip", "train.seed", "tasks", "settings",
)  # fmt: skip
PACKAGES = ("torch", "transformers", "peft", "trl")

log = logging.getLogger(__name__)


def main(config: Config) -> None:
    """Write ``train/<adapter>/`` for each of ``adapters.rows``: ``<task>-<setting>/epoch_<n>/``, ``run.json``; and what it took.

    The adapters of all tasks are made before the first is put into place.

    Raises:
        YapoError: adapters cannot be trained (``check_adapter_training``), or one has numbers that are not finite.
    """
    check_adapter_training(config)
    from yapo.steering.lora.train import keep_adapter, train_adapter

    paths, known = Paths.of(config), known_countries(config.data)
    check_country(config.country, known)
    language_folder, train = known[config.country], config.train
    prepared = {task: read_prepared(paths, language_folder, config.country, task) for task in config.tasks}
    for kind in config.adapters.rows:
        folder, spent = paths.trained(language_folder, config.country, kind), Spent()
        with scratch_folder() as scratch:
            for task, pairs in prepared.items():
                for part in train_sets(pairs.rows, config.settings):
                    lm = load_language_model(replace(config.model, attention="eager"))  # whose gradients are transformers' own
                    pairs.store.check(model=lm.digest, dtype=str(lm.dtype))
                    seen = [pairs.store.pairs[row] for row in fewer_facts(part, pairs.rows, train.share, train.seed).train]
                    with spent:
                        train_adapter(kind, lm, seen, config.adapters, train, scratch / f"{task}-{part.name}")
                    log.info("%s %s %s %s", config.country, kind, task, part.name)
            for made in sorted(scratch.glob("*/epoch_*")):
                keep_adapter(made, folder / made.relative_to(scratch), config.model.path)
        record = {
            "adapter": kind,
            "country": config.country,
            "language": language_folder,
            "config": {"model": asdict(config.model), **{name: attrgetter(name)(config) for name in READS if name != "model"}},
            "model_digest": next(iter(prepared.values())).store.key.model,
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "data_hash": digest([pairs.data_hash for pairs in prepared.values()]),
        }
        write_json(folder / "run.json", record)
        write_json(paths.spent(language_folder, config.country, kind), spent.record())


if __name__ == "__main__":
    run(main)
