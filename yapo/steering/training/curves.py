"""The training curves of a method, as a file that can be watched while it grows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import torch

from yapo.checks import Task
from yapo.errors import YapoError
from yapo.files import remove_empty
from yapo.steering.training.checkpoint import LogRow

if TYPE_CHECKING:
    from yapo.steering.method import FitInputs
    from yapo.steering.training.train_sets import TrainSet
    from yapo.steering.vector import TrainedVector


class CurvesFile:
    """Rows are appended as they come; the name ends in ``.partial`` until ``keep``.

    The first row opens it. Where the stage ends with bad input, it is removed, and so are folders that would stay empty.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(path.name + ".partial")
        self.known: set[tuple[Task, object]] = set()  # task and setting of the rows so far
        self._file: TextIO | None = None

    def __enter__(self) -> CurvesFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            if isinstance(error, YapoError):
                self.partial.unlink(missing_ok=True)
                remove_empty(self.path.parent)

    def of(self, task: Task) -> Callable[[LogRow], None]:
        """Return what receives the rows of a task."""

        def write(row: LogRow) -> None:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.partial.open("w", encoding="utf-8")
            self._file.write(json.dumps({"task": task, **row}, sort_keys=True) + "\n")
            self.known.add((task, row["setting"]))
            if row["kind"] == "epoch":
                self._file.flush()

        return write

    def keep(self) -> None:
        """Give the file its name."""
        assert self._file is not None, "every vector has a row"
        self._file.close()
        os.replace(self.partial, self.path)


def closed_form_row(inputs: FitInputs, part: TrainSet, vector: TrainedVector) -> LogRow:
    """Return the size of a vector that was not trained, and how far it moves the residual stream of the validation pairs."""
    device, intervention = inputs.sae.W_dec.device, vector.intervention(inputs.sae.d_model, lambda _: inputs.sae)
    v, first = vector.epochs[-1].to(device), 0 if inputs.train.steer_bos else 1
    states = [inputs.store.hidden[i][None, first:].to(device) for i in part.validation]
    moved = [intervention.displacement(h, v, torch.ones(h.shape[:2], dtype=torch.bool, device=device)) for h in states]
    size = {"norm": float(v.norm()), "l0": int((v != 0).sum())}
    return {"kind": "epoch", "setting": part.name, "step": 0, "epoch": 1, "displacement": sum(moved) / len(moved), **size}
