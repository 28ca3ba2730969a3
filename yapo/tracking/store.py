"""Copy what a study says about its trainings into MLflow, and only what is not there yet."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from yapo.data.text import shown
from yapo.errors import YapoError
from yapo.reporting.palette import look
from yapo.tracking import sources
from yapo.tracking.places import DIGEST_TAG, STUDY_TAG, Place
from yapo.tracking.sources import FileState, Point, RunRecord
from yapo.tracking.views import views

if TYPE_CHECKING:  # importing mlflow takes seconds, so nothing does it before it is needed
    from mlflow import MlflowClient
    from mlflow.entities import Run

_METRICS_PER_CALL, _PARAMS_PER_CALL = 1000, 100  # MLflow's limits
_NAME_TAG, _COMPLETE_TAG = "yapo.run", "yapo.complete"
_NOTE = "Steering vectors of one study: a view of the files in its results folder. Compare the methods in the chart view."
_SAY_AFTER = 5.0  # seconds without a word
_log = logging.getLogger(__name__)


@dataclass
class IngestReport:
    """Result of one pass.

    Attributes:
        experiment_id: MLflow's id of the study.
        runs: number of runs by what happened to them: created, extended, rewritten or unchanged.
        problems: one sentence for each file that could not be read, or not whole. What depends on it is not up to date.
    """

    experiment_id: str
    runs: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass
class Tracker:
    """The MLflow view of one study, brought up to date pass by pass.

    Attributes:
        results: folder of the study.
        place: where the view is kept; nothing is opened before the first pass.
        experiment: name of the MLflow experiment.
        wait: seconds to wait for another program to let go of the place, and for a server to answer.
        turn: seconds to wait for other ingests of this study. One that dies lets go at once.
        say: told what goes on where that takes long: a wait, and how many methods have been read.
        example: tags of the run whose country, task and setting the page of all methods shows; empty before there is one.
    """

    results: Path
    place: Place
    experiment: str
    wait: float = 60.0
    turn: float = 3600.0
    say: Callable[[str], None] = lambda _: None
    example: dict[str, str] = field(default_factory=dict, init=False)
    _seen: dict[Path, FileState] = field(default_factory=dict, init=False)
    _last_warning: str = field(default="", init=False)

    def ingest(self) -> IngestReport:
        """Bring the view up to date with the files.

        Runs whose content did not change are skipped. A curve that has grown is extended; one that has changed otherwise moves
        to MLflow's deleted runs and is written anew. The digest of a run is written last, so that the next pass completes a run
        which an interrupted one left half-written.

        Raises:
            YapoError: there is no such study, or the place is locked or unusable.
        """
        if not self.results.is_dir():
            raise YapoError(f"{self.results}: no such study folder; give the results folder of an experiment")
        with self._only_writer():
            from mlflow.exceptions import MlflowException

            try:
                client = self.place.open(self.wait, self.results, self.experiment)
                experiment_id = self._experiment_id(client)
                report = IngestReport(experiment_id)
                self._pass(_Writer(client, experiment_id), report)
                self._offer_views(client, experiment_id)
            except (OSError, MlflowException) as error:
                reason = shown(f"{error}".partition("\n")[0], bare=True)
                raise YapoError(f"{self.place.name}: does not work ({reason}); {self.place.remedy}") from error
            return report

    def ingest_or_warn(self) -> IngestReport | None:
        """Ingest; turn any failure into one warning, since the view must never fail the study that it shows."""
        try:
            report = self.ingest()
            trouble = "; ".join(report.problems)
        except Exception as error:
            report = None
            self._seen.clear()
            trouble = f"{error}".partition("\n")[0] or repr(error)
        if trouble and trouble != self._last_warning:  # said once, however often a following ingest meets it
            _log.warning(
                "MLflow view %s is not up to date: %s. The study itself is not affected; once this is mended, run: "
                "python -m yapo.tracking ingest --results %s",
                self.place.name,
                trouble,
                self.results,
            )
        self._last_warning = trouble
        return report

    @contextlib.contextmanager
    def _only_writer(self) -> Iterator[None]:
        """Hold the lock file that keeps two ingests apart."""
        lock = FileLock(self.place.lock)
        try:
            try:
                self.place.lock.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=min(_SAY_AFTER, self.turn))
            except Timeout:
                self.say(f"{self.place.name}: waiting for another ingest of this study")
                lock.acquire(timeout=max(0.0, self.turn - _SAY_AFTER))
        except Timeout:
            raise YapoError(
                f"{self.place.name}: another ingest has kept it for {self.turn:g} s; end that one, or wait until it is done"
            ) from None
        except OSError as error:
            raise YapoError(
                f"{self.place.lock}: cannot be locked ({error.strerror}); make it a file that you may write to"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _experiment_id(self, client: MlflowClient) -> str:
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is not None:
            self.place.check(experiment, self.results)
            return str(experiment.experiment_id)
        self._seen.clear()
        self.say(f"{self.place.name}: the first ingest of {len(sources.method_folders(self.results))} trained methods")
        # The kind keeps the UI from opening in its view for applications of language models.
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _NOTE, STUDY_TAG: str(self.results)}
        return str(client.create_experiment(self.experiment, artifact_location=self.place.artifact_location, tags=tags))

    def _offer_views(self, client: MlflowClient, experiment_id: str) -> None:
        """Keep in the experiment what its pages show first, where it is not there yet."""
        wanted = views(self.example)
        found = client.get_experiment(experiment_id).tags
        for key, value in wanted.items():
            if found.get(key) != value:
                client.set_experiment_tag(experiment_id, key, value)

    def _pass(self, writer: _Writer, report: IngestReport) -> None:
        """Write what changed since the last pass of this tracker."""
        # States are taken before anything is read: a change in between is found by the next pass.
        units: list[tuple[Path, FileState, Callable[[Path], tuple[list[RunRecord], list[str]]]]] = [
            (folder, sources.state(folder), sources.read_method) for folder in sources.method_folders(self.results)
        ]
        units.append((self.results, sources.figures_state(self.results), sources.read_figures))
        said = time.monotonic()
        for number, (folder, state, read) in enumerate(units):
            if time.monotonic() - said > _SAY_AFTER:
                said = time.monotonic()
                self.say(f"{self.place.name}: {number} of {len(units)} methods read, {report.runs.total()} runs")
            if state == self._seen.get(folder):
                continue
            try:
                records, problems = read(folder)
            except OSError as error:
                records, problems = [], [f"{folder}: cannot be read ({error}); see to the file and ingest again"]
            for record in records:
                report.runs[writer.write(record)] += 1
            shown = [record.tags for record in records if record.tags]
            if shown and not self.example:  # questions that do not name the country are those on which methods differ
                self.example = min(shown, key=lambda tags: tags["setting"] != "nonlocalized")
            report.problems += problems
            if not problems:
                self._seen[folder] = state


class _Writer:
    """Writes records into one MLflow experiment."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    @cached_property
    def _runs(self) -> dict[str, Run]:
        """The runs that are in the database, by name."""
        page = self._client.search_runs([self._experiment_id])
        runs = list(page)
        while page.token:
            page = self._client.search_runs([self._experiment_id], page_token=page.token)
            runs += page
        return {run.data.tags[_NAME_TAG]: run for run in runs if _NAME_TAG in run.data.tags}

    def write(self, record: RunRecord) -> str:
        """Make the run of a record equal to it.

        Returns:
            What was done: created, extended, rewritten or unchanged.
        """
        run = self._runs.get(record.name)
        if run is None:
            self._fill(record, self._create(record), {}, {})
            return "created"
        if run.data.tags.get(DIGEST_TAG) == record.digest:
            return "unchanged"
        points = self._points(run)
        if _within(points, record.metrics) and _within(run.data.params, record.params):
            self._fill(record, run.info.run_id, points, run.data.params)
            return "extended"
        self._client.delete_run(run.info.run_id)
        self._fill(record, self._create(record), {}, {})
        return "rewritten"

    def _create(self, record: RunRecord) -> str:
        tags = record.tags | {_NAME_TAG: record.name}
        if "method" in record.tags:
            tags["mlflow.runColor"] = look(record.tags["method"])[0]  # as in the figures
        run = self._client.create_run(self._experiment_id, start_time=record.time, tags=tags, run_name=record.name)
        return str(run.info.run_id)

    def _points(self, run: Run) -> dict[Point, float]:
        """Read back the whole history of a run."""
        histories = (self._client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
        return {(metric.key, metric.step): metric.value for history in histories for metric in history}

    def _fill(self, record: RunRecord, run_id: str, points: dict[Point, float], params: dict[str, str]) -> None:
        """Add what a run lacks; its digest comes last."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(name, value, record.time, step) for (name, step), value in record.metrics.items() if (name, step) not in points
        ]
        settings = [Param(name, value) for name, value in record.params.items() if name not in params]
        for path, folder in record.artifacts:
            self._client.log_artifact(run_id, str(path), folder)
        calls = max(1, math.ceil(len(metrics) / _METRICS_PER_CALL), math.ceil(len(settings) / _PARAMS_PER_CALL))
        for call in range(calls):  # MLflow writes the tags of a call after its other parts
            last = [RunTag(_COMPLETE_TAG, str(record.complete).lower()), RunTag(DIGEST_TAG, record.digest)]
            self._client.log_batch(
                run_id,
                metrics=metrics[call * _METRICS_PER_CALL : (call + 1) * _METRICS_PER_CALL],
                params=settings[call * _PARAMS_PER_CALL : (call + 1) * _PARAMS_PER_CALL],
                tags=last if call == calls - 1 else [],
            )
        if record.complete:
            self._client.set_terminated(run_id, end_time=record.time)


def _within(stored: dict[Point, float] | dict[str, str], wanted: dict[Point, float] | dict[str, str]) -> bool:
    """Tell whether all that is stored is wanted; compared as text, in which NaN equals itself."""
    return {key: repr(value) for key, value in stored.items()}.items() <= {
        key: repr(value) for key, value in wanted.items()
    }.items()
