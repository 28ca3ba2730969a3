"""The tables of docs/paper-runs.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.measure import Cell
from benchmarks.page import table
from benchmarks.paper_costs import completions, stages
from benchmarks.paper_prices import ASSUMED, GB, HOUR, MODELS, Device, Prices, embedded, experiment, jobs, makespan
from benchmarks.paper_space import disk, memory
from benchmarks.paper_study import TRAINED, Lengths, Study
from yapo.files import read_json

NODE = 8
SUBMITTED = (8, 32)
Rows = list[dict[str, Cell]]
SHRUNK = (
    "",
    "model.batch_size=128",
    "train.epochs=5",
    "methods=[caa,yapo]",
    "countries=[egypt,nepal]",
    "generation.max_new_tokens_open_ended=128 generation.max_new_tokens_mcq=32",
    "discovery.countries=[]",
    "model.batch_size=128 train.epochs=5 methods=[caa,yapo] countries=[egypt,nepal] discovery.countries=[]",
)


def tables(results: Path, devices: Sequence[Device]) -> dict[str, str]:
    """Every table by the name of its place."""
    prices = Prices.measured(results)
    studies = [experiment(name) for name in MODELS]
    return {
        "time": table([row for study in studies for row in time_rows(study, prices, devices)]),
        "wall": table([row for study in studies for row in wall_rows(study, prices, devices)]),
        "memory": table([row for study in studies for row in memory_rows(study, prices)]),
        "disk": table([disk_row(study) for study in studies]),
        "shrink": table(shrink_rows(prices, devices[min(1, len(devices) - 1)])),
        "limits": table([row for study in studies for row in limit_rows(study, prices, devices)]),
        "devices": table([device_row(device) for device in devices]),
        "lengths": table([{"task": task, **asdict(found)} for task, found in ASSUMED.items()]),
        "prices": table(price_rows(prices)),
        "check": table(check_rows(results, prices)),
    }


def time_rows(study: Study, prices: Prices, devices: Sequence[Device]) -> Rows:
    """GPU hours of each stage."""
    rows: Rows = []
    for device in devices:
        fitted = fitting(study, device.memory - prices.library)
        if fitted is None:
            continue
        hours = {name: prices.on_gpu(work, device) / HOUR for name, work in stages(fitted).items()}
        total = sum(job.seconds for job in jobs(fitted, prices, device)) / HOUR
        row: dict[str, Cell] = {"experiment": study.name, "device": device.name, "layer, once": hours["layer"]}
        row |= {"prepare, a country": hours["prepare"], "train, a country and trained method": hours["train"]}
        rows.append({**row, "evaluate, a country": hours["evaluate"], "whole study": total})
    return rows


def wall_rows(study: Study, prices: Prices, devices: Sequence[Device]) -> Rows:
    """Hours from the first job to the last."""
    fetched = sum(disk(study)[name] for name in ("model", "autoencoders")) / prices.network / HOUR
    rows: Rows = []
    for device in devices:
        fitted = fitting(study, device.memory - prices.library)
        if fitted is None:
            continue
        row: dict[str, Cell] = {"experiment": study.name, "device": device.name, "download, h": fetched}
        for count in (1, NODE):
            row["one GPU, h" if count == 1 else f"node of {count}, h"] = makespan(jobs(fitted, prices, device), count) / HOUR
        for count in SUBMITTED:
            row[f"Slurm, {count} GPUs, h"] = makespan(jobs(fitted, prices, device, prices.submit), count) / HOUR
        rows.append(row)
    return rows


def memory_rows(study: Study, prices: Prices) -> Rows:
    """Most memory of each stage on a GPU as configured, and what a GPU of 24 GB needs lowered."""
    row: dict[str, Cell] = {"experiment": study.name}
    row |= {f"{name}, GB": (held + prices.library) / GB for name, held in memory(study).items()}
    smaller = fitting(study, 24 * GB - prices.library)
    lowered = f"`model.batch_size={smaller.per_pass} train.rows_per_pass={smaller.train_rows}`" if smaller else "does not fit"
    return [{**row, "for 24 GB": "fits" if smaller == study else lowered, "host, GB a job": 3 + study.model.bytes / GB}]


def fitting(study: Study, limit: float) -> Study | None:
    """The study with rows halved until every stage stays below a limit; None where one row is too much."""
    while memory(study)["train"] > limit and study.train_rows > study.batch:
        study = replace(study, train_rows=study.train_rows // 2)
    while max(memory(study).values()) > limit and study.per_pass > 1:
        study = replace(study, per_pass=study.per_pass // 2)
    return study if max(memory(study).values()) <= limit else None


def disk_row(study: Study) -> dict[str, Cell]:
    """Gigabytes of files."""
    found = {name: size / GB for name, size in disk(study).items()}
    once = found["model"] + found["autoencoders"]
    a_country = sum(size for name, size in found.items() if name.endswith("a country"))
    kept = once + study.countries * a_country
    slim = once + study.countries * (a_country - found["activations, a country"]) + found["activations, a country"]
    row: dict[str, Cell] = {"experiment": study.name, **{f"{name}, GB": size for name, size in found.items()}}
    return {**row, "whole study, GB": kept, "with keep_activations=false, one GPU, GB": slim}


def shrink_rows(prices: Prices, device: Device) -> Rows:
    """Time and cost of smaller runs of the smallest experiment."""
    rows: Rows = []
    for overrides in SHRUNK:
        given = overrides.split()
        limits = {part.rpartition("_tokens_")[2].split("=")[0]: float(part.split("=")[1]) for part in given if "max_new" in part}
        lengths = {task: shortened(found, limits.get(task, found.longest)) for task, found in ASSUMED.items()}
        study = experiment("gemma2_2b", *given, lengths=lengths)
        work = jobs(study, prices, device)
        total = sum(job.seconds for job in work) / HOUR
        name = f"`{overrides}`" if overrides else "as it is"
        asked = study.countries * sum(completions(study) for _ in study.lengths)
        rows.append(
            {"overrides": name, "completions": round(asked), "GPU hours": total, "node of 8, h": makespan(work, NODE) / HOUR}
        )
    return rows


def shortened(lengths: Lengths, limit: float) -> Lengths:
    """The same under a lower limit of new tokens."""
    return replace(lengths, longest=min(limit, lengths.longest), written=min(limit, lengths.written))


def limit_rows(study: Study, prices: Prices, devices: Sequence[Device]) -> Rows:
    """Time of evaluation by what it waits for, also if every answer ran to its limit."""
    rows: Rows = []
    for device in devices:
        fitted = fitting(study, device.memory - prices.library)
        if fitted is None:
            continue
        work = stages(fitted)["evaluate"]
        waits = {
            name: sum(prices.limits(part, device)[name] for part in work) / HOUR for name in ("arithmetic", "memory", "calls")
        }
        full = {task: replace(x, written=study.limits[task], longest=study.limits[task]) for task, x in study.lengths.items()}
        worst = prices.on_gpu(stages(replace(fitted, lengths=full))["evaluate"], device) / HOUR
        row: dict[str, Cell] = {"experiment": study.name, "device": device.name}
        row |= {f"{name} alone, h": hours for name, hours in waits.items()}
        rows.append({**row, "expected, h": prices.on_gpu(work, device) / HOUR, "all answers at their limit, h": worst})
    return rows


def device_row(device: Device) -> dict[str, Cell]:
    """A device as its maker describes it."""
    row: dict[str, Cell] = {
        "device": device.name,
        "bfloat16, TFLOP/s": device.flops / 1e12,
        "float32, TFLOP/s": device.flops32 / 1e12,
    }
    return {**row, "memory, GB/s": device.bandwidth / GB, "memory, GB": device.memory / GB}


def price_rows(prices: Prices) -> Rows:
    """Prices and factors behind all other tables."""
    named: list[tuple[str, float, str, str]] = [
        ("calling the operations of one block, no gradient", 1e6 * prices.block, "µs", "measured, CPU"),
        ("the same, forward and backward", 1e6 * prices.trained, "µs", "measured, CPU"),
        ("a training step over the time of its matrix products alone", prices.slack, "times", "measured, CPU, shape 100m"),
        ("start of a small job with its model", prices.start, "CPU s", "measured, CPU"),
        ("reading prompts on this CPU", prices.read / 1e9, "GFLOP/s", "measured, CPU; used in the check only"),
        ("writing tokens on this CPU", prices.write / 1e9, "GFLOP/s", "measured, CPU; used in the check only"),
        ("training on this CPU", prices.train / 1e9, "GFLOP/s", "measured, CPU; used in the check only"),
        ("share of peak operations that matrix products reach", prices.matmul, "", "assumed"),
        ("share of peak bandwidth that reading weights reaches", prices.stream, "", "assumed"),
        ("memory of a device's own library", prices.library / GB, "GB", "assumed"),
        ("start of a large job: 20 s, and weights from disk at", prices.load / GB, "GB/s", "assumed"),
        ("downloads at", 1e3 * prices.network / GB, "MB/s", "assumed"),
        ("between two Slurm jobs of a chain", prices.submit, "s", "assumed, [slurm.md](slurm.md)"),
    ]
    return [{"price": name, "value": value, "unit": unit, "from": source} for name, value, unit, source in named]


def check_rows(results: Path, prices: Prices) -> Rows:
    """CPU seconds of the embedded study's jobs: the same counts, priced for the CPU, beside what was measured."""
    found = read_json(results / "paper_runs.json")["tables"]
    measured = {row["stage"]: row for row in found["embedded study"]}
    methods = [stage.removeprefix("train ") for stage in measured if stage.startswith("train ")]
    lengths = {row.pop("task"): Lengths(**row) for row in map(dict, found["lengths of the embedded study"])}
    parts = stages(embedded(lengths, methods))
    named = {name: name for name in ("layer", "prepare", "evaluate")} | {f"train {m}": "train" for m in methods if m in TRAINED}
    rows: Rows = []
    for stage, name in named.items():
        predicted, taken = prices.start + prices.on_cpu(parts[name]), float(measured[stage]["CPU seconds"])
        row: dict[str, Cell] = {"job": stage, "jobs": measured[stage]["jobs"], "predicted, CPU s": predicted}
        rows.append({**row, "measured, CPU s": taken, "predicted / measured": predicted / taken})
    return rows
