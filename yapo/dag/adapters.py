"""Checks of adapters before anything runs."""

from __future__ import annotations

from yapo.config import Config
from yapo.data.sources import refuse_training
from yapo.errors import YapoError, require_extra


def check_adapters(config: Config) -> None:
    """Refuse adapters that cannot be trained, or chosen as the study chooses.

    Raises:
        YapoError: see ``check_adapter_training``; or the choice is bounded by divergence.
    """
    if config.adapters.rows:
        check_adapter_training(config)
        if config.selection.max_kl is not None:
            raise YapoError(
                f"selection.max_kl={config.selection.max_kl:g}: the divergence of adapters is not measured; set adapters=none, "
                "or selection.max_kl=null"
            )


def check_adapter_training(config: Config) -> None:
    """Refuse adapters where peft or TRL is not installed, and data for evaluation only."""
    require_extra("lora", "peft", "trl")
    refuse_training(config.data, f"adapters.rows={','.join(config.adapters.rows)} learn")
