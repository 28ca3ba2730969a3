"""The studies around the tables. Where ``countries`` is empty, a study takes all countries of the experiment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from yapo.config.checks import SETTINGS, TASKS, one_of, require
from yapo.config.models import SaeTrainConfig
from yapo.config.steering import TrainConfig
from yapo.errors import unknown

# Every study around the tables, as the report shows them.
STUDIES = ("lambda_sweep", "convergence", "ablations", "transfer", "features", "dspa_study", "behaviours", "knowledge")

# Options of DSPA that its study may change; layers and number of pairs have lists of their own.
DSPA_OPTIONS = (
    "k_prompt", "k_diff", "alpha", "mode", "percentile", "normalise", "sparsify", "demix", "gate_fires", "count_template",
    "count_end", "edits", "signed", "turns",
)  # fmt: skip


def _distinct(key: str, values: list[str]) -> None:
    require(len(set(values)) == len(values), key, values, "name each once")


def _training_study(key: str, methods: list[str], tasks: list[str], setting: str, seeds: list[int]) -> None:
    """What the studies that train vectors of their own have in common."""
    for name, values in (("methods", methods), ("tasks", tasks)):
        _distinct(f"{key}.{name}", values)
        require(bool(values), f"{key}.{name}", values, "name at least one")
    for task in tasks:
        one_of(f"{key}.tasks", task, TASKS)
    one_of(f"{key}.setting", setting, SETTINGS)
    require(bool(seeds) and min(seeds) >= 0, f"{key}.seeds", seeds, "give at least one, all 0 or more")
    require(len(set(seeds)) == len(seeds), f"{key}.seeds", seeds, "name each once")


@dataclass
class LambdaSweepConfig:
    """All methods on one grid of multipliers; ``settings`` says which vectors, by what they were trained on."""

    countries: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=lambda: ["both", "nonlocalized"])
    multipliers: list[float] = field(default_factory=lambda: [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])

    def __post_init__(self) -> None:
        _distinct("studies.lambda_sweep.countries", self.countries)
        _distinct("studies.lambda_sweep.settings", self.settings)
        require(bool(self.settings), "studies.lambda_sweep.settings", self.settings, "name at least one")
        for name in self.settings:
            one_of("studies.lambda_sweep.settings", name, SETTINGS)
        distinct = len(set(self.multipliers)) == len(self.multipliers)
        require(distinct, "studies.lambda_sweep.multipliers", self.multipliers, "name each once")
        require(
            0.0 in self.multipliers, "studies.lambda_sweep.multipliers", self.multipliers, "must contain 0, the unsteered model"
        )


@dataclass
class ConvergenceConfig:
    """Loss and accuracy over training steps, from several seeds; every method trains at every learning rate."""

    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["bipo", "yapo"])  # those of them that the experiment has
    tasks: list[str] = field(default_factory=lambda: ["open_ended"])
    setting: str = "nonlocalized"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    learning_rates: list[float] = field(default_factory=lambda: [5e-4])
    epochs: int = 20
    answered_epochs: int = 6  # how many epochs' vectors answer the validation questions
    train_facts: int = 16  # training facts, one phrasing of each, that they answer too; 0: none
    losses: list[float] = field(default_factory=lambda: [0.5, 0.3, 0.1])  # training losses whose steps are counted
    window: int = 20  # training losses are means over this many steps

    def __post_init__(self) -> None:
        key = "studies.convergence"
        _distinct(f"{key}.countries", self.countries)
        _training_study(key, self.methods, self.tasks, self.setting, self.seeds)
        rates = self.learning_rates
        require(bool(rates) and min(rates) > 0, f"{key}.learning_rates", rates, "give at least one, all above 0")
        require(bool(self.losses) and min(self.losses) > 0, f"{key}.losses", self.losses, "give at least one, all above 0")
        for name, count in (("epochs", self.epochs), ("answered_epochs", self.answered_epochs), ("window", self.window)):
            require(count > 0, f"{key}.{name}", count, "at least 1")
        require(self.train_facts >= 0, f"{key}.train_facts", self.train_facts, "0 (none) or more")


@dataclass
class AblationsConfig:
    """One change at a time from the experiment's setting.

    ``variants`` names the changes: each is a few settings of ``train``, ``method.options`` or ``sae.train`` with their values;
    one set to null is left out. A method takes those whose settings it has. One with settings of ``sae.train`` trains an
    autoencoder of its own.
    """

    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["bipo", "yapo"])  # those of them that the experiment has
    tasks: list[str] = field(default_factory=lambda: ["open_ended"])
    setting: str = "nonlocalized"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    variants: dict[str, Any] = field(
        default_factory=lambda: {
            "one_directional": {"train.directions": "positive"},
            "jumprelu": {"method.options.threshold": "jumprelu"},
            "all_features": {"method.options.features": "all"},
            "start_random": {"method.options.init": "random"},
            "start_random_all_features": {"method.options.init": "random", "method.options.features": "all"},
            "start_mean_difference": {"method.options.init": "mean_difference"},
            "beta_0.05": {"train.beta": 0.05},
            "beta_0.2": {"train.beta": 0.2},
            "beta_0.5": {"train.beta": 0.5},
            "facts_25": {"train.share": 0.25, "train.epochs": 80},  # as many steps as the default
            "facts_50": {"train.share": 0.5, "train.epochs": 40},
            "width_256": {"sae.train.width": 256},
            "width_1024": {"sae.train.width": 1024},
            "width_4096": {"sae.train.width": 4096},
        }
    )

    def __post_init__(self) -> None:
        key = "studies.ablations"
        _distinct(f"{key}.countries", self.countries)
        _training_study(key, self.methods, self.tasks, self.setting, self.seeds)
        known = [f"train.{part.name}" for part in fields(TrainConfig)]
        known += [f"sae.train.{part.name}" for part in fields(SaeTrainConfig)]
        for name, changes in self.variants.items():
            place = f"{key}.variants.{name}"
            require(re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) is not None, place, changes, "a name of letters, digits, _ . and -")
            require(name != "default", place, changes, "is what the others are compared with; choose another name")
            if changes is None:
                continue
            require(isinstance(changes, dict) and bool(changes), place, changes, "give settings and values, as train.beta: 0.5")
            for setting in changes:
                if setting not in known and not setting.startswith("method.options."):
                    raise unknown("setting of a variant", place, setting, [*known, "method.options.<name>"])

    @property
    def changes(self) -> dict[str, dict[str, Any]]:
        """The variants that are not left out."""
        return {name: changes for name, changes in self.variants.items() if changes is not None}

    @property
    def own_autoencoders(self) -> list[str]:
        """The variants that train an autoencoder."""
        return [name for name, changes in self.changes.items() if any(key.startswith("sae.train.") for key in changes)]


@dataclass
class TransferConfig:
    """Vectors of one country on the questions of another, and of all countries of a language but one on the one left out."""

    countries: list[str] = field(default_factory=list)
    setting: str = "nonlocalized"  # what the vectors were trained on
    cross_language_facts: int | None = 16  # test facts on which a vector of another language is tried; null: all
    left_out_methods: list[str] = field(default_factory=lambda: ["caa", "sas", "bipo", "yapo"])  # those of the experiment

    def __post_init__(self) -> None:
        key = "studies.transfer."
        _distinct(key + "countries", self.countries)
        _distinct(key + "left_out_methods", self.left_out_methods)
        one_of(key + "setting", self.setting, SETTINGS)
        few = self.cross_language_facts is None or self.cross_language_facts >= 0
        require(few, key + "cross_language_facts", self.cross_language_facts, "0 (no other languages) or more, or null for all")


@dataclass
class FeaturesConfig:
    """What vectors do, in features. Vectors of all settings are compared; those of ``settings`` have pages and examples."""

    countries: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)  # empty: all of the experiment
    settings: list[str] = field(default_factory=lambda: ["both"])
    top: int = 16  # strongest features of a vector
    examples: int = 10  # facts on which a feature fires hardest

    def __post_init__(self) -> None:
        for key, values in (("countries", self.countries), ("tasks", self.tasks), ("settings", self.settings)):
            _distinct(f"studies.features.{key}", values)
        require(bool(self.settings), "studies.features.settings", self.settings, "name at least one")
        for name in self.tasks:
            one_of("studies.features.tasks", name, TASKS)
        for name in self.settings:
            one_of("studies.features.settings", name, SETTINGS)
        require(self.top > 0, "studies.features.top", self.top, "at least 1")
        require(self.examples > 0, "studies.features.examples", self.examples, "at least 1")


@dataclass
class DspaConfig:
    """DSPA's own studies: one change at a time from the experiment's setting, and judged chat.

    ``changes`` names options of conf/method/dspa.yaml with the values to try; the experiment's own is among them or not.
    """

    countries: list[str] = field(default_factory=list)
    setting: str = "both"  # which vectors, by what they were trained on
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
    chat_task: str = "open_ended"  # which vectors of each method answer them
    max_new_tokens: int | None = None  # of one answer in them; null: as many as of an open-ended answer

    def __post_init__(self) -> None:
        key = "studies.dspa."
        _distinct(key + "countries", self.countries)
        one_of(key + "setting", self.setting, SETTINGS)
        one_of(key + "chat_task", self.chat_task, TASKS)
        for name, counts in (("pairs", self.pairs), ("layers", self.layers)):
            require(len(set(counts)) == len(counts), key + name, counts, "name each once")
        require(all(count > 0 for count in self.pairs), key + "pairs", self.pairs, "at least 1 each")
        require(all(layer >= 0 for layer in self.layers), key + "layers", self.layers, "layers count from 0")
        for name in self.changes:
            one_of(key + "changes", name, DSPA_OPTIONS)
        require(self.subsets > 0, key + "subsets", self.subsets, "at least 1")
        limit = self.max_new_tokens
        require(limit is None or limit > 0, key + "max_new_tokens", limit, "at least 1, or null")


@dataclass
class KnowledgeStudyConfig:
    """Towards which countries to steer while general knowledge is asked for; how it is asked: the group ``knowledge``."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.knowledge.countries", self.countries)


@dataclass
class BehavioursConfig:
    """Behaviours other than culture, from preference files, steered both ways."""

    folder: str = "world/behaviours"  # holds a folder for each, with train.csv and perhaps test.csv
    multipliers: list[float] = field(default_factory=lambda: [0.5, 1.0, 1.5, 2.0])  # |λ|, chosen on validation
    overrides: list[str] = field(default_factory=list)  # what differs from the experiment, as typed on a command line

    def __post_init__(self) -> None:
        require(1.0 in self.multipliers, "studies.behaviours.multipliers", self.multipliers, "must contain 1.0")
        require(min(self.multipliers) > 0, "studies.behaviours.multipliers", self.multipliers, "above 0: both signs are tried")


@dataclass
class StudiesConfig:
    """Settings of each study; the target of the same name runs it."""

    reported: list[str] = field(default_factory=lambda: list(STUDIES))  # what all_studies runs, and the report shows
    lambda_sweep: LambdaSweepConfig = field(default_factory=LambdaSweepConfig)
    convergence: ConvergenceConfig = field(default_factory=ConvergenceConfig)
    ablations: AblationsConfig = field(default_factory=AblationsConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    dspa: DspaConfig = field(default_factory=DspaConfig)
    knowledge: KnowledgeStudyConfig = field(default_factory=KnowledgeStudyConfig)
    behaviours: BehavioursConfig = field(default_factory=BehavioursConfig)

    def __post_init__(self) -> None:
        for name in self.reported:
            one_of("studies.reported", name, STUDIES)
        _distinct("studies.reported", self.reported)
