"""``metrics.jsonl``: every logged step once, over all starts of a run."""

import json
import math
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class MetricsLog(Logger):
    """Writes a line for each logged step: ``{"step": 7, "epoch": 0, "train/loss": 0.31, "val/accuracy": 0.9}``.

    A step is logged in parts (rate, loss, validation), so its line is written when the next step begins. A checkpoint
    holds how long the file was and the line that was still open; continuing from it cuts off whatever came later.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._row: dict[str, Any] = {}
        self._written: tuple[int, dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """No folder of its own."""
        return ""

    @property
    def version(self) -> str:
        """No folder of its own."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """``config.yaml`` and ``summary.json`` hold these."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds to the line of a step."""
        if self._row and self._row["step"] != step:
            self._write()
        if not self._row and self._written and self._written[1]["step"] == step:
            # the line was closed, and the step has more to say: a test behind a training
            os.truncate(self.path, self._written[0])
            self._row = self._written[1]
        self._row |= {"step": step, **{name: _number(value) for name, value in metrics.items()}}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes the open line of a run that ends early; one that goes well has more to say of its last step."""
        if status != "success":
            self.close()

    @rank_zero_only
    def close(self) -> None:
        """Writes the open line."""
        if self._row:
            self._write()

    def _write(self) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            self._written = file.tell(), self._row
            file.write(json.dumps(self._row) + "\n")
        self._row = {}

    def state(self) -> dict[str, Any]:
        """Bytes that are on the disk for certain, and the open line."""
        size = 0
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            size = self.path.stat().st_size
        return {"bytes": size, "row": dict(self._row)}

    @rank_zero_only
    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a state."""
        self._row, self._written = dict(state["row"]), None
        if self.path.exists() and self.path.stat().st_size > state["bytes"]:
            os.truncate(self.path, state["bytes"])


def _number(value: Any) -> float | None:
    # NaN is not JSON
    number = float(value)
    return number if math.isfinite(number) else None
