"""Settings of the second judge. Apart from the job that asks it, so that planning imports no model code."""

from __future__ import annotations

from dataclasses import replace

from yapo.config import Config, JudgeConfig
from yapo.config.compose import compose
from yapo.errors import YapoError

_KEY = "studies.open_answers.second_judge"


def second_judge(config: Config) -> JudgeConfig:
    """Return the settings of the second judge; it keeps its replies where the first does.

    Raises:
        YapoError: one of them is no setting of a judge, or its value is impossible; or they name the offline reference.
    """
    given = config.studies.open_answers.second_judge
    if not given:
        return JudgeConfig()
    for setting in given:
        if not setting.startswith(("judge=", "judge.")):
            raise YapoError(f"{_KEY}: {setting} is no setting of a judge; give such as judge=local or judge.model=PATH")
    try:
        settings = compose(given).judge
    except YapoError as error:
        raise YapoError(f"{_KEY}: {error}") from None
    if settings.name == "offline":
        raise YapoError(f"{_KEY}: {', '.join(given)} is the offline reference; leave the list empty for that")
    return replace(settings, cache=config.judge.cache)
