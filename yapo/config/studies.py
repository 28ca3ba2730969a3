"""The studies around the tables. Where ``countries`` is empty, a study takes all countries of the experiment."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.config.checks import require


def _distinct(key: str, values: list[str]) -> None:
    require(len(set(values)) == len(values), key, values, "name each once")


@dataclass
class LambdaSweepConfig:
    """All methods on one grid of multipliers."""

    countries: list[str] = field(default_factory=list)
    multipliers: list[float] = field(default_factory=lambda: [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])

    def __post_init__(self) -> None:
        _distinct("studies.lambda_sweep.countries", self.countries)
        require(
            0.0 in self.multipliers, "studies.lambda_sweep.multipliers", self.multipliers, "must contain 0, the unsteered model"
        )


@dataclass
class ConvergenceConfig:
    """Loss and accuracy over training steps, for several seeds."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.convergence.countries", self.countries)


@dataclass
class AblationsConfig:
    """One change at a time."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.ablations.countries", self.countries)


@dataclass
class TransferConfig:
    """Vectors of one country on the questions of another."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.transfer.countries", self.countries)


@dataclass
class FeaturesConfig:
    """What vectors do, in features."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.features.countries", self.countries)


@dataclass
class DspaConfig:
    """DSPA's own studies."""

    countries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _distinct("studies.dspa.countries", self.countries)


@dataclass
class BehavioursConfig:
    """Behaviours other than culture, from preference files."""


@dataclass
class StudiesConfig:
    """Settings of each study; the target of the same name runs it."""

    lambda_sweep: LambdaSweepConfig = field(default_factory=LambdaSweepConfig)
    convergence: ConvergenceConfig = field(default_factory=ConvergenceConfig)
    ablations: AblationsConfig = field(default_factory=AblationsConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    dspa: DspaConfig = field(default_factory=DspaConfig)
    behaviours: BehavioursConfig = field(default_factory=BehavioursConfig)
