"""The progress of a training in the terminal: steps done, loss, time left."""

from __future__ import annotations

from types import TracebackType

from tqdm import tqdm

from yapo.steering.training.checkpoint import LogRow


class TrainingBar:
    """A bar on standard error, where that is a terminal; closed forms have none."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, row: LogRow) -> None:
        """Show a row of the training's log; see ``yapo.train``."""
        if row["kind"] == "start":
            self._bar = tqdm(total=int(str(row["steps"])), desc="training", unit="step", disable=None)
        elif self._bar is None:
            return
        elif row["kind"] == "step":
            self._bar.set_postfix_str(f"loss {row['loss']:.3f}, epoch {row['epoch']}", refresh=False)
            self._bar.update()
        else:
            self._bar.set_postfix_str(f"epoch {row['epoch']}, held-out loss {row['validation_loss']:.3f}")
