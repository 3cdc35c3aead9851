"""The record of a run as far as it needs no Trainer: ``summary.json``, and what is shown of it. Imports no torch."""

from pathlib import Path
from typing import Any

from transferlab.ground import screen
from transferlab.ground.progress import is_part
from transferlab.record import folder as run_folder
from transferlab.record import report


class RunRecord:
    """The summary of a run.

    Args:
        folder: The run directory.
        identity: What the run is: experiment, strategy, seed, tags.

    Attributes:
        summary: What ``summary.json`` holds.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.summary: dict[str, Any] = dict(identity)
        self.screen = screen.console()

    def header(self) -> None:
        """Prints what is about to run."""
        title = f"{self.summary['experiment']} (seed {self.summary['seed']})"
        self._show(screen.facts(report.header_rows(self.summary, self.folder), title))

    def after(self, metrics: dict[str, float]) -> None:
        """Notes the validation metrics of the best checkpoint."""
        self.summary["after"] = metrics
        self.summary["metrics"] |= metrics

    def result(self) -> None:
        """Prints before and after, test metrics, the per-class report and costs."""
        if self.summary.get("per_class") and not is_part():
            self._show(report.class_table(self.summary["per_class"], "test, per class"))
        self._show(screen.facts(report.result_rows(self.summary), f"{self.summary['experiment']}: result"))

    def _show(self, renderable: Any) -> None:
        self.screen.print()
        self.screen.print(renderable)

    def _write(self, status: str) -> None:
        self.summary["status"] = status
        run_folder.write_json(self.folder / "summary.json", self.summary)
