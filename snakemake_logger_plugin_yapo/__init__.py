"""Snakemake's terminal for long runs: one line a finished job. All else is in Snakemake's log file."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from logging import LogRecord
from pathlib import Path
from statistics import fmean
from textwrap import wrap

import pandas as pd
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_yapo.reasons import Clause, clauses
from yapo.dag.command_line import check_command_line

# Snakemake imports its plugins before it reads the command line, and the profiles, which check it too, after.
if re.search(r"snakemake(/__main__\.py)?$", sys.argv[0]):
    check_command_line(sys.argv[1:])

WIDTH = 200  # characters of the longest line
_ALIKE = 3  # planned jobs of one rule and reason from which they share a line
_TAIL = 20_000  # bytes of a failed job's log that are searched for its error
# Messages of Snakemake beside the lines of the jobs; its log file has them.
_UNSAID = (
    "Building DAG", "Using shell", "Select jobs", "Assuming unrestricted shared", "Conda environments: ignored", "Reasons:",
    "Some jobs were triggered by provenance", "Rules with provenance triggered", "This was a dry-run", "Exiting because a job",
    "Removing temporary output", "Touching output file", "Elapsed time", "Trying to restart job", "Shutting down",
)  # fmt: skip


@dataclass
class Job:
    """A job that runs or is planned."""

    rule: str
    name: str
    outputs: list[str]
    causes: list[Clause]
    start: float


class LogHandler(LogHandlerBase):
    """The lines of a run."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start with no job."""
        self.jobs: dict[int, Job] = {}
        self.planned: list[Job] = []
        self.left: Counter[str] = Counter()
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.total = self.done = 0
        self.start = 0.0

    def emit(self, record: LogRecord) -> None:
        """Write what a record has to say, if anything."""
        try:
            for line in self._lines(record):
                self._write(line)
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write the plan of a dry run, and end."""
        for line in plan(self.planned):
            self._write(line, most=1)
        self.planned = []
        super().close()

    def _lines(self, record: LogRecord) -> Iterable[str]:
        said = vars(record)
        match said.get("event"):
            case LogEvent.RUN_INFO:
                return self._begin(said["stats"], record.created)
            case LogEvent.JOB_INFO:
                self._add(said, record.created)
            case LogEvent.JOB_FINISHED:
                return self._finish(said["job_id"], record.created)
            case LogEvent.JOB_ERROR:
                return self._fail(said, record.created)
            case LogEvent.PROGRESS:
                self.done, self.total = said["done"], said["total"]
            case LogEvent.ERROR:
                if said["exception"] not in ("RuleException", "CalledProcessError"):  # of a job, whose own error says it
                    return self.format(record).replace(":\n", ": ").splitlines()
            case LogEvent.GROUP_ERROR:
                return self.format(record).splitlines()
            case None:
                text = self.format(record)
                if not text.startswith(_UNSAID):
                    return text.splitlines()
        return ()

    def _begin(self, stats: dict[str, int], now: float) -> Iterable[str]:
        if self.total:  # a dry run says it again at its end
            return
        self.left = Counter({rule: number for rule, number in stats.items() if rule != "total"})
        self.total, self.start = stats["total"], now
        counts = ", ".join(f"{number} {rule}" for rule, number in self.left.items())
        yield f"{count(self.total, 'job')} to run: {counts}"

    def _add(self, said: dict[str, object], now: float) -> None:
        rule, outputs = str(said["rule_name"]), [str(path) for path in said["output"]]  # type: ignore[attr-defined]
        job = Job(rule, str(said["rule_msg"] or rule), outputs, clauses(str(said["reason"])), now)
        if self.common_settings.dryrun:
            self.planned.append(job)
        self.jobs[int(str(said["jobid"]))] = job

    def _finish(self, number: int, now: float) -> Iterable[str]:
        job = self.jobs.pop(number, None)
        self.done += 1
        if job is None:  # --quiet says nothing of jobs
            return
        took = now - job.start
        self.left[job.rule] -= 1
        self.took[job.rule].append(took)
        width = len(str(self.total))
        parts = [job.name, span(took), *figures(job.outputs), self._ahead(now)]
        yield f"{clock(now)}  {self.done:>{width}}/{self.total}  " + ", ".join(part for part in parts if part)

    def _ahead(self, now: float) -> str:
        """Return how long the rest takes at the pace so far: a job is as long as the mean one of its rule, or of all rules."""
        spent = {rule: fmean(times) for rule, times in self.took.items()}
        busy = sum(map(sum, self.took.values()))
        usual = busy / sum(map(len, self.took.values()))
        rest = sum(number * spent.get(rule, usual) for rule, number in self.left.items() if number > 0)
        return f"{span(rest * (now - self.start) / busy)} left" if rest and busy else ""

    def _fail(self, said: dict[str, object], now: float) -> Iterable[str]:
        job = self.jobs.pop(int(str(said["jobid"])), None)
        logs = [str(path) for path in said["log"]]  # type: ignore[attr-defined]
        if job:
            self.left[job.rule] -= 1
        name, took = (job.name, f" after {span(now - job.start)}") if job else (str(said["rule_name"]), "")
        yield f"{clock(now)}  FAILED  {name}{took}" + (f"; log: {' '.join(logs)}" if logs else "")
        yield from (f"    {line}" for line in map(error_of, logs) if line)

    def _write(self, text: str, most: int = 6) -> None:
        """Write a text in lines of ``WIDTH``, ``most`` of them."""
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        for line in wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False, max_lines=most, placeholder=" …"):
            stream.write(f"{line}\n")
        stream.flush()


def plan(jobs: list[Job]) -> Iterable[str]:
    """Describe the jobs of a dry run, one a line; many of one rule and for the same reason share one."""
    alike: defaultdict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        alike[job.rule, *(cause.kind for cause in job.causes)].append(job)
    for group in alike.values():
        for job in group if len(group) <= _ALIKE else group[:1]:
            name = job.name if len(group) <= _ALIKE else f"{job.rule}: {len(group)} jobs, such as {job.name}"
            yield f"{name}, because {' and '.join(cause.text for cause in job.causes)}"


def figures(outputs: list[str]) -> Iterable[str]:
    """Return the loss in a job's curves, or the scores in what it chose on validation.

    The loss is the mean over the job's vectors, each at its last epoch; a score is the mean over settings.
    """
    for path in outputs:
        if path.endswith("/validation.parquet"):
            frame = pd.read_parquet(path)
            if "selected" in frame:
                for task, rows in frame[frame["selected"]].groupby("task"):
                    scores = rows.groupby("method")["score"].mean()
                    steered = scores.drop("baseline", errors="ignore")
                    if len(steered) in (0, len(scores)):
                        continue
                    yield f"{task} {scores['baseline']:.2f} unsteered, {steered.max():.2f} {steered.idxmax()}"
        if path.endswith(".jsonl"):
            last = {}
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                if '"validation_loss"' in line:
                    row = json.loads(line)
                    last[row.get("task"), row.get("setting")] = row["validation_loss"]
            if last:
                yield f"validation loss {fmean(last.values()):.3f}"


def error_of(log: str) -> str:
    """Return the sentence with which a job ended: the last line of its log that begins with ``error:``, or its last line."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")


def clock(moment: float) -> str:
    """Return the time of day."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def span(seconds: float) -> str:
    """Return a length of time in the two units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s" if rest >= 10 else f"{seconds:.1f} s"


def count(number: int, thing: str) -> str:
    """Return a number of things, in the plural where there are several."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
