"""Controls that change the prompt and steer nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import PromptControl, check_seed, check_words, distinct, filled_template, require

OTHER_LANGUAGES = "other"
_MILD = "You are a helpful assistant for people in {country}."
_STRONG = (
    f"{_MILD} Every question is about daily life in {{country}}, even where it does not say so. Answer as people there would, "
    "and not as people elsewhere."
)


@dataclass
class ControlsConfig:
    """The controls of the tables, beside the unsteered model and the random direction; see ``yapo.evaluation.preamble_controls``.

    Templates are given by language, as the data name it, and under ``other`` for all others; they hold ``{country}``.
    """

    rows: list[PromptControl] = field(default_factory=lambda: ["prompt"])
    seed: int = 0  # draws the examples of few_shot_1 and few_shot_3 among the training facts
    system_mild: dict[str, str] = field(default_factory=lambda: {OTHER_LANGUAGES: _MILD})
    system_strong: dict[str, str] = field(default_factory=lambda: {OTHER_LANGUAGES: _STRONG})
    countries: dict[str, str] = field(default_factory=dict)  # names of countries in their languages; else made from the key

    def __post_init__(self) -> None:
        check_words("controls", self)
        distinct("controls.rows", self.rows)
        require("prompt" in self.rows, "controls.rows", self.rows, "name prompt too, with which tables and studies compare")
        check_seed("controls.seed", self.seed)
        for name, templates in (("system_mild", self.system_mild), ("system_strong", self.system_strong)):
            languages = list(templates)
            require(OTHER_LANGUAGES in templates, f"controls.{name}", languages, f"give one for {OTHER_LANGUAGES} languages too")
            for language, template in templates.items():
                filled_template(f"controls.{name}.{language}", template, country="C")

    def system(self, control: PromptControl, language: str, country: str) -> str:
        """Return the system prompt of a control for a country; empty for a control without one."""
        templates = {"system_mild": self.system_mild, "system_strong": self.system_strong}.get(control)
        if templates is None:
            return ""
        name = self.countries.get(country, country.replace("_", " ").title())
        return templates.get(language, templates[OTHER_LANGUAGES]).format(country=name)
