"""The studies, one field each: the name of its folder, of its target and of its settings under ``studies``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from yapo.checks import check_words, distinct, one_of
from yapo.studies.ablations import AblationsConfig
from yapo.studies.base import get_study
from yapo.studies.behaviours import BehavioursConfig
from yapo.studies.between_models import BetweenModelsConfig
from yapo.studies.convergence import ConvergenceConfig
from yapo.studies.costs import CostsConfig
from yapo.studies.dspa_study import DspaConfig
from yapo.studies.equal_kl import EqualKlConfig
from yapo.studies.features import FeaturesConfig
from yapo.studies.gap import GapConfig
from yapo.studies.knowledge import KnowledgeStudyConfig
from yapo.studies.lambda_sweep import LambdaSweepConfig
from yapo.studies.open_answers import OpenAnswersConfig
from yapo.studies.opinions import OpinionsConfig
from yapo.studies.regions import RegionsConfig
from yapo.studies.reliability import ReliabilityConfig
from yapo.studies.side_effects import SideEffectsConfig
from yapo.studies.transfer import TransferConfig


@dataclass
class StudiesConfig:
    """Settings of each study, in the order of the report."""

    equal_kl: EqualKlConfig = field(default_factory=EqualKlConfig)
    gap: GapConfig = field(default_factory=GapConfig)
    lambda_sweep: LambdaSweepConfig = field(default_factory=LambdaSweepConfig)
    convergence: ConvergenceConfig = field(default_factory=ConvergenceConfig)
    ablations: AblationsConfig = field(default_factory=AblationsConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    between_models: BetweenModelsConfig = field(default_factory=BetweenModelsConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    dspa_study: DspaConfig = field(default_factory=DspaConfig)
    behaviours: BehavioursConfig = field(default_factory=BehavioursConfig)
    knowledge: KnowledgeStudyConfig = field(default_factory=KnowledgeStudyConfig)
    side_effects: SideEffectsConfig = field(default_factory=SideEffectsConfig)
    reliability: ReliabilityConfig = field(default_factory=ReliabilityConfig)
    costs: CostsConfig = field(default_factory=CostsConfig)
    open_answers: OpenAnswersConfig = field(default_factory=OpenAnswersConfig)
    opinions: OpinionsConfig = field(default_factory=OpinionsConfig)
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    reported: list[str] = field(default_factory=lambda: list(ALONE))  # run by all_studies and shown in the report

    def __post_init__(self) -> None:
        for name in STUDIES:
            settings = getattr(self, name)
            check_words(f"studies.{name}", settings)
            distinct(f"studies.{name}.countries", getattr(settings, "countries", []))
        for name in self.reported:
            one_of("studies.reported", name, STUDIES)
        distinct("studies.reported", self.reported)


STUDIES: tuple[str, ...] = tuple(part.name for part in fields(StudiesConfig) if part.name != "reported")
# Studies that need neither a file of the user's nor data of a special kind.
ALONE: tuple[str, ...] = tuple(name for name in STUDIES if not (get_study(name).needs or get_study(name).regions))
