"""Checks, before anything runs, that data are used as they may be: those for evaluation only, and those in one form."""

from __future__ import annotations

from collections.abc import Mapping

from yapo.checks import IMPORTED
from yapo.config import Config
from yapo.dag.scope import discovery_countries
from yapo.data.sources import DATA_SETS, forms_of, refuse_training, role_of
from yapo.errors import YapoError


def check_data_use(config: Config, known: Mapping[str, str]) -> None:
    """Refuse a study that would learn or choose something on a set for evaluation only, or ask in a form that the data lack.

    Args:
        config: of the study.
        known: the countries of the data.

    Raises:
        YapoError: names the setting and what to choose; or the data hold no items.
    """
    data_set = DATA_SETS[config.data.source]()
    if data_set.load is None:
        raise YapoError(f"data.source={config.data.source}: {data_set.instead}")
    check_forms(config)
    if role_of(config.data) == "train":
        return
    if config.methods != [IMPORTED]:
        refuse_training(config.data, f"methods={','.join(config.methods)} learn")
    if config.sae.trained:
        refuse_training(config.data, "sae.trained=True trains autoencoders")
    if config.discovery.layer is None or discovery_countries(config, dict(known)):
        raise YapoError(
            f"discovery.layer={config.discovery.layer}: no layer is searched on data for evaluation only; set discovery.layer to "
            "that of the vectors, and discovery.countries=[]"
        )


def check_forms(config: Config) -> None:
    """Refuse a setting whose form of the questions the data lack."""
    forms = forms_of(config.data)
    for setting in config.settings:
        if len(forms) == 1 and setting != forms[0]:
            raise YapoError(
                f"settings={setting}: all questions of data.source={config.data.source} are {forms[0]}; set settings=[{forms[0]}]"
                + (", or make the other form (data.forms=both)" if forms == ("localized",) else "")
            )
