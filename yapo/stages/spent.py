"""Seconds and memory of a part of a job."""

from __future__ import annotations

import resource
import sys
import time


class Spent:
    """A stopwatch that adds up what runs inside it, as a context.

    Attributes:
        seconds, cpu_seconds: on the clock, and of all of the process's threads.
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    def __enter__(self) -> Spent:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        clock, cpu = self._began
        self.seconds += time.perf_counter() - clock
        self.cpu_seconds += time.process_time() - cpu

    def record(self) -> dict[str, float | None]:
        """Return seconds, and the most memory that the process and its GPU, if any, have held, in megabytes."""
        torch = sys.modules.get("torch")  # not imported by a job that needs none
        on_gpu = torch is not None and torch.cuda.is_available()
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6 if torch is not None and on_gpu else None,
        }


def peak_memory_mb() -> float:
    """Return the most memory that this process has held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere
