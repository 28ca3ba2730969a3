"""Train a low-rank adapter on preference pairs with TRL's trainers: SFT on the preferred answers, or DPO (arXiv 2305.18290).

    SFT:  loss = -Σ log π(y_w|x) / Σ |y_w|, both sums over a minibatch
    DPO:  loss = -log σ(β·m), in the mean over a minibatch; m as in ``yapo.steering.objective``, π_0 is the adapter switched off

log π sums over answer tokens, end-of-turn included. The trainers get the token ids of the pairs, the same that vectors train on,
so that no chat template is read a second time. ``tests/steering/test_lora.py`` holds loss and gradient equal to these equations.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from peft import LoraConfig
from transformers import Trainer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from yapo.checks import AdapterMethod
from yapo.config import AdaptersConfig, TrainConfig
from yapo.files import read_json, replacing, write_json
from yapo.steering.lora.adapter import CONFIG, WEIGHTS
from yapo.steering.pair_batch import TokenPair
from yapo.tensors import check_finite

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

UNSEEN = -100  # label of a token that has no loss


class _SFT(SFTTrainer):  # type: ignore[misc]
    def _send_telemetry(self) -> None:
        """Send nothing."""


class _DPO(DPOTrainer):  # type: ignore[misc]
    def _send_telemetry(self) -> None:
        """Send nothing."""

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        """Take the token ids as they are; TRL has no setting for that."""
        return dataset


class _AfterEpoch(TrainerCallback):  # type: ignore[misc]
    def __init__(self, save: Callable[[int], None]) -> None:
        self.save, self.epochs = save, 0

    def on_epoch_end(self, *_: object, **__: object) -> None:
        self.epochs += 1
        self.save(self.epochs)


def train_adapter(
    kind: AdapterMethod,
    lm: LanguageModel,
    pairs: Sequence[TokenPair],
    adapters: AdaptersConfig,
    train: TrainConfig,
    folder: Path,
) -> None:
    """Train an adapter and write it after each epoch, ``epoch_1``, ``epoch_2``, ... in peft's files.

    Args:
        kind: by which loss.
        lm: the whole model, with eager attention; it is not to be used afterwards.
        pairs: what is learned.
        adapters: rank, size and rate.
        train: epochs, batches, β, seed and schedule.
        folder: receives the epochs; also what the trainer writes besides, so it is to be a temporary one.

    Raises:
        YapoError: a number of the adapter is not finite.
    """
    trainer = make_trainer(kind, lm, pairs, adapters, train, folder)
    trainer.add_callback(_AfterEpoch(lambda epoch: trainer.model.save_pretrained(folder / f"epoch_{epoch}")))
    trainer.train()
    trained = ((name, weight) for name, weight in trainer.model.named_parameters() if weight.requires_grad)
    check_finite(trained, f"adapters.lr={adapters.lr:g}", "lower it")


def make_trainer(
    kind: AdapterMethod,
    lm: LanguageModel,
    pairs: Sequence[TokenPair],
    adapters: AdaptersConfig,
    train: TrainConfig,
    folder: Path,
) -> Trainer:
    """Return TRL's trainer of an adapter; see ``train_adapter``."""
    steps = train.epochs * -(-len(pairs) // train.batch_size)
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": train.epochs,
        "per_device_train_batch_size": train.batch_size,
        "learning_rate": adapters.lr,
        "lr_scheduler_type": "cosine",
        "warmup_steps": min(train.warmup_steps, steps // 2),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.grad_clip,
        "seed": train.seed,
        "max_length": None,
        "bf16": False,  # the model's own number type
        "gradient_checkpointing": False,
        "use_cpu": lm.device.type == "cpu",
        "save_strategy": "no",
        "logging_strategy": "epoch",
        "report_to": "none",
        "disable_tqdm": True,
    }
    lora = LoraConfig(
        r=adapters.rank, lora_alpha=adapters.alpha, target_modules=list(adapters.modules), lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    given = {"model": lm.model, "processing_class": lm.tokenizer.tokenizer, "peft_config": lora}
    if kind == "lora_sft":
        rows = [{"input_ids": pair.prompt + pair.chosen, "labels": [UNSEEN] * len(pair.prompt) + pair.chosen} for pair in pairs]
        return _SFT(args=SFTConfig(**common), train_dataset=Dataset.from_list(rows), **given)
    rows = [{"prompt_ids": pair.prompt, "chosen_ids": pair.chosen, "rejected_ids": pair.rejected} for pair in pairs]
    return _DPO(args=DPOConfig(**common, beta=train.beta), train_dataset=Dataset.from_list(rows), **given)


def keep_adapter(made: Path, folder: Path, model: str) -> None:
    """Move the two files of an adapter to their place, each whole or not at all; its settings in one order, for equal bytes.

    Args:
        made: where peft wrote them.
        folder: where to.
        model: name or path of the model.
    """
    settings = read_json(made / CONFIG)
    listed = {name: sorted(value) for name, value in settings.items() if isinstance(value, list)}
    with replacing(folder / WEIGHTS) as temporary:
        shutil.copyfile(made / WEIGHTS, temporary)
    write_json(folder / CONFIG, {**dict(sorted(settings.items())), **listed, "base_model_name_or_path": model})
