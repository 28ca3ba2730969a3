"""Timing, reports and printing shared by all benchmarks.

Variants of one comparison take turns within one process, so that a disturbance of the machine meets all of them, and what is
reported is the median of their ratios turn by turn. Absolute times are for orientation.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers

from yapo.files import write_json

RESULTS = Path(__file__).resolve().parent / "results"
Cell = str | int | float | bool
Times = dict[str, list[float]]


@dataclass
class Options:
    """Command line of every script."""

    quick: bool
    out: Path | None
    shapes: list[str]
    seed: int
    device: torch.device


@dataclass
class Report:
    """Results of a script.

    Attributes:
        name: of the script.
        settings: what was held constant, and the seed.
        tables: title -> rows, all of one table with the same keys.
        skipped: what was not measured, and why.
    """

    name: str
    settings: dict[str, Cell]
    tables: dict[str, list[dict[str, Cell]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, table: str, row: dict[str, Cell]) -> None:
        """Append a row, and show it at once: a run may take minutes."""
        self.tables.setdefault(table, []).append(row)
        print(f"{table}: " + ", ".join(f"{key} {shown(value)}" for key, value in row.items()), flush=True)

    def skip(self, reason: str) -> None:
        """Note what was not measured."""
        self.skipped.append(reason)
        print(f"skipped: {reason}", flush=True)

    def finish(self, options: Options) -> None:
        """Print all tables; write them unless this was a quick run without ``--out``."""
        for title, rows in self.tables.items():
            print(f"\n{title}\n{plain_table(rows)}")
        folder = options.out if options.out is not None or options.quick else RESULTS
        if folder is not None:
            suffix = "-cuda" if options.device.type == "cuda" else ""
            report = {**asdict(self), "quick": options.quick, "machine": machine(options.device), "versions": versions()}
            write_json(folder / f"{self.name}{suffix}.json", report)
            print(f"\nwritten: {folder / f'{self.name}{suffix}.json'}")


def options(description: str, shapes: list[str], quick: list[str]) -> Options:
    """Read the command line.

    Args:
        description: first line of ``--help``.
        shapes: names of the model shapes that the script runs by default.
        quick: the same under ``--quick``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small and few: checks that it runs, says little about speed")
    parser.add_argument("--out", type=Path, help="folder of the JSON file (default benchmarks/results; none with --quick)")
    parser.add_argument("--shapes", nargs="*", help=f"model shapes (default {' '.join(shapes)})")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = given.shapes if given.shapes is not None else quick if given.quick else shapes
    return Options(given.quick, given.out, names, given.seed, device)


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; a CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turns(variants: Mapping[str, Callable[[int], object]], repeats: int, device: torch.device, warm_up: int = 1) -> Times:
    """Seconds of each call of each variant; the first ``warm_up`` turns are not counted.

    Args:
        variants: called with the number of the turn. Every second turn goes through them backwards.
        repeats: turns counted.
        device: to be waited for.
        warm_up: turns before.
    """
    times: Times = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name in list(variants)[:: 1 if turn % 2 == 0 else -1]:
            synchronize(device)
            start = time.perf_counter()
            variants[name](turn)
            synchronize(device)
            if turn >= warm_up:
                times[name].append(time.perf_counter() - start)
    return times


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def quartiles(values: list[float]) -> str:
    """First and third quartile, as text."""
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{low:.3g} to {high:.3g}"


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """Turn by turn."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def peak_gigabytes(run: Callable[[], object], device: torch.device) -> float:
    """Most memory held on a GPU during a call, weights included, in GB; NaN on a CPU, which has no such counter."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) / 1e9


def exponent(sizes: list[float], costs: list[float]) -> float:
    """b of the least-squares fit cost = a * size^b."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def slope(sizes: list[float], costs: list[float]) -> tuple[float, float]:
    """(a, b) of the least-squares fit cost = a + b * size."""
    b, a = np.polyfit(sizes, costs, 1)
    return float(a), float(b)


def machine(device: torch.device) -> dict[str, Cell]:
    """Return the name and size of the machine."""
    cpu = platform.processor() or platform.machine()
    info, cores = Path("/proc/cpuinfo"), 0
    if info.exists():
        lines = info.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        cpu, cores = (models[0] if models else cpu), len(models)
    found: dict[str, Cell] = {"cpu": cpu, "cores": cores, "threads": torch.get_num_threads(), "platform": platform.platform()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def versions() -> dict[str, Cell]:
    """Of what decides the speed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def shown(value: Cell) -> str:
    """A cell as text: floats to three significant digits."""
    if isinstance(value, float):
        if value != value:
            return "-"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def plain_table(rows: list[dict[str, Cell]]) -> str:
    """Aligned text."""
    lines = [list(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
