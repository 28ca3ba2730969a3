"""Models, devices and prices of the paper's runs, and the time that their jobs take together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paper_costs import Work, stages
from benchmarks.paper_space import disk
from benchmarks.paper_study import TRAINED, Lengths, Model, Sae, Study
from yapo.config.compose import compose
from yapo.errors import YapoError
from yapo.files import read_json

ROWS, COUNTRIES = 45_354, 15  # Deep-Culture-Lense, both variants
GB, HOUR = 1e9, 3600.0

# config.json of google/gemma-2-2b-it, google/gemma-2-9b-it, meta-llama/Llama-3.1-8B-Instruct, Qwen/Qwen3-8B on the hub.
MODELS = {
    "gemma2_2b": Model(26, 2304, 9216, 8, 4, 256, 256000, tied=True, norms=4, scores_kept=True),
    "gemma2_9b": Model(42, 3584, 14336, 16, 8, 256, 256000, tied=True, norms=4, scores_kept=True),
    "llama31_8b": Model(32, 4096, 14336, 32, 8, 128, 128256, tied=False, norms=2, scores_kept=False),
    "qwen3_8b": Model(36, 4096, 12288, 32, 8, 128, 151936, tied=False, norms=2, scores_kept=False),
}
TINY = Model(6, 96, 256, 3, 1, 32, 4096, tied=True, norms=4, scores_kept=True, itemsize=4)
# The releases' own widths; features that fire on a token as their names say (conf/sae).
SAES = {"gemma2_2b": Sae(65536, 68), "gemma2_9b": Sae(131072, 98), "llama31_8b": Sae(32768, 50), "qwen3_8b": Sae(65536, 50)}
# Assumed: the data set's lengths in these models' tokens are not known here.
ASSUMED = {"mcq": Lengths(200, 6, 40, 40, 256), "open_ended": Lengths(40, 60, 200, 200, 400)}


@dataclass(frozen=True)
class Device:
    """A GPU as its maker describes it: dense bfloat16 and float32 operations a second, bytes a second, bytes."""

    name: str
    flops: float
    flops32: float
    bandwidth: float
    memory: float

    @classmethod
    def of(cls, text: str) -> Device:
        """From ``NAME=TFLOP/s,TFLOP/s in float32,GB/s,GB``."""
        name, _, numbers = text.partition("=")
        try:
            flops, flops32, bandwidth, held = (float(number) for number in numbers.split(","))
        except ValueError:
            raise YapoError(f"--device={text}: give NAME=TFLOP/s,TFLOP/s in float32,GB/s,GB, as in L4=121,30,300,24") from None
        return cls(name, flops * 1e12, flops32 * 1e12, bandwidth * GB, held * GB)


DEVICES = [Device.of(text) for text in ("A10 24 GB=125,31.2,600,24", "A100 80 GB=312,19.5,2039,80", "H100 80 GB=989,67,3350,80")]


@dataclass(frozen=True)
class Prices:
    """Measured prices, and the assumed shares of a device's peak.

    Attributes:
        block, trained: seconds to call a block's operations, without gradient, and forward and backward.
        start: CPU seconds until a small job has its model.
        read, write, train: operations a second on the measuring CPU, by kind of work.
        slack: how many times longer a training step takes than its products alone.
        matmul, stream: shares of a device's peak operations and bandwidth.
        library: bytes that a device's library takes, and ``load`` bytes a second from disk.
        network: bytes a second of downloads; ``submit`` seconds between two Slurm jobs of a chain.
    """

    block: float
    trained: float
    start: float
    read: float
    write: float
    train: float
    slack: float
    matmul: float = 0.6
    stream: float = 0.7
    library: float = 1.0 * GB
    load: float = 1.0 * GB
    network: float = 0.05 * GB
    submit: float = 30.0

    @classmethod
    def measured(cls, results: Path) -> Prices:
        """From ``paper_runs.json`` and ``profile_step.json``."""
        found = {row["name"]: row["value"] for row in read_json(results / "paper_runs.json")["tables"]["prices"]}
        steps = read_json(results / "profile_step.json")["tables"]["distance from the arithmetic limit"]
        slack = [row["step, times both"] for row in steps if row["shape"] == "100m"]
        calls = {"block": found["block"], "trained": found["trained block"], "start": found["start"]}
        return cls(**calls, read=found["read"], write=found["write"], train=found["train"], slack=sum(slack) / len(slack))

    def on_cpu(self, parts: Sequence[Work]) -> float:
        """CPU seconds: calls and arithmetic one after the other."""
        rates = {"read": self.read, "write": self.write, "train": self.train}
        called = sum(work.calls * self.block + work.trained * self.trained for work in parts)
        return called + sum((work.flops + work.flops32) / rates[work.kind] for work in parts)

    def on_gpu(self, parts: Sequence[Work], device: Device) -> float:
        """Seconds: in each part the slowest of arithmetic, memory and calls."""
        return sum(max(self.limits(work, device).values()) for work in parts)

    def limits(self, work: Work, device: Device) -> dict[str, float]:
        """Seconds that each of the three would take alone."""
        arithmetic = self.slack / self.matmul * (work.flops / device.flops + work.flops32 / device.flops32)
        return {
            "arithmetic": arithmetic,
            "memory": work.bytes / (self.stream * device.bandwidth),
            "calls": work.calls * self.block + work.trained * self.trained,
        }


def experiment(name: str, *overrides: str, lengths: dict[str, Lengths] = ASSUMED) -> Study:
    """A large experiment as ``conf/experiment`` describes it. A layer that is searched is taken as the middle candidate."""
    config = compose([f"experiment={name}", *overrides])
    candidates = config.discovery.candidates
    layer = candidates[len(candidates) // 2] if config.discovery.layer is None else config.discovery.layer
    countries = len(config.countries) or COUNTRIES
    return Study.of(name, config, MODELS[name], SAES[name], layer, ROWS / COUNTRIES, countries, lengths)


def embedded(lengths: dict[str, Lengths], methods: Sequence[str]) -> Study:
    """The embedded experiment, with the lengths that it turned out to have."""
    config = compose(["experiment=embedded", f"methods=[{','.join(methods)}]"])
    return Study.of("embedded", config, TINY, Sae(1024, 17), 2, 624, 15, lengths)


@dataclass(frozen=True)
class Job:
    """Seconds of a job and the jobs that it waits for."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()


def jobs(study: Study, prices: Prices, device: Device, submit: float = 0.0) -> list[Job]:
    """The jobs that take a GPU; ``submit`` seconds come before each."""
    parts = stages(study)
    model = 20.0 + submit + study.model.bytes / prices.load  # start of Python, imports, weights
    times = {name: prices.on_gpu(work, device) + model for name, work in parts.items()}
    stores = submit + 20.0 + disk(study)["activations, a country"] / prices.load
    made = [Job("layer", times["layer"])]
    for country in range(study.countries):
        made.append(Job(f"prepare {country}", times["prepare"], ("layer",)))
        made += [
            Job(f"train {method} {country}", times["train"] if method in TRAINED else stores, (f"prepare {country}",))
            for method in study.epochs
        ]
        made.append(Job(f"evaluate {country}", times["evaluate"], tuple(f"train {m} {country}" for m in study.epochs)))
    return made


def makespan(work: Sequence[Job], machines: int) -> float:
    """Seconds until all jobs are done, each started as soon as a machine is free and what it waits for is done."""
    done: dict[str, float] = {}
    free, waiting = [0.0] * machines, list(work)
    while waiting:
        can = [job for job in waiting if set(job.after) <= done.keys()]
        ready = {job.name: max((done[name] for name in job.after), default=0.0) for job in can}
        first = min(ready.values())
        place = min(range(machines), key=free.__getitem__)
        begin = max(first, free[place])
        job = next(job for job in can if ready[job.name] <= begin)
        free[place] = done[job.name] = max(ready[job.name], free[place]) + job.seconds
        waiting.remove(job)
    return max(done.values(), default=0.0)
