"""Results of record and results beside it: which of the two an evaluation gives, and where the latter are kept."""

import time
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.config import hashes
from transferlab.record import folder as run_folder
from transferlab.record import predictions, retest, setting
from transferlab.record.environment import environment
from transferlab.record.retest import Facts, Lines
from transferlab.tasks import TaskDataModule

COMMANDS = ("validate", "test", "predict")


class Evaluated(NamedTuple):
    """An evaluation.

    Attributes:
        command: ``validate``, ``test`` or ``predict``.
        facts: What it speaks of, see `transferlab.record.retest.evaluated`.
    """

    command: str
    facts: Facts


class Evaluations:
    """Tells a result of record from one beside it, and keeps the latter.

    Attributes:
        tree: The configuration of this start; None where it is the run's own.
    """

    def __init__(self) -> None:
        self.tree: setting.Tree | None = None
        self._due: set[str] = set()
        self._weights: str | None = None

    def begin(self, all_of_record: bool) -> None:
        """Starts anew: what a training ends with is of record, and so is all of a folder that is new."""
        self._due = set(COMMANDS) if all_of_record else set()
        self._weights = None

    def facts(
        self, command: str, trainer: Any, data: TaskDataModule, lines: Lines, checkpoint: Path | None = None
    ) -> Evaluated:
        """What was just evaluated, or while training just before `checkpoint` was written."""
        if path := checkpoint or trainer.ckpt_path:
            self._weights = hashes.of_path(Path(path))
        return Evaluated(command, retest.evaluated(command, trainer, data, lines, self._weights))

    def of_record(self, command: str, now: Evaluated, folder: Path, summary: Facts) -> bool:
        """Whether it is the result of record: due, or the first of its kind under the run's own settings."""
        if command in self._due:
            self._due.discard(command)
            return True
        return not self._differences(now, folder, summary) and _lacks(now, folder, summary)

    def _differences(self, now: Evaluated, folder: Path, summary: Facts) -> list[str]:
        record = retest.expected(now.command, summary)
        found = retest.differences(record, now.facts)
        if self.tree is not None:
            known = [(record["splits"].get(name) or {}).get("version") for name in now.facts["splits"]]
            found += retest.changed_keys(setting.of_folder(folder), self.tree, by_content=all(known))
        return found

    def keep(
        self, now: Evaluated, folder: Path, summary: Facts, lines: Lines, found: Facts
    ) -> tuple[Path, dict[str, str]]:
        """Keeps a result beside the record: predictions first, then ``result.json``.

        Args:
            now: What was evaluated.
            folder: The run directory.
            summary: That of the run.
            lines: The predictions by the name of their file.
            found: ``metrics``, and what else belongs into the entry.

        Returns:
            The folder of the entry, and what is printed of it.
        """
        metrics, record = found["metrics"], summary.get("after" if now.command == "validate" else "metrics") or {}
        differs = self._differences(now, folder, summary)
        result = retest.compare(folder, metrics, record, lines)
        entry = retest.place(folder, now.command)
        for name, records in lines.items():
            predictions.write(predictions.place(entry, name), records)
        content = {"command": now.command, "time": time.strftime("%Y-%m-%d %H:%M:%S"), "evaluated": now.facts}
        content |= {"differs": differs, **found, **result, "environment": environment()}
        run_folder.write_json(entry / run_folder.RESULT, content)
        rows = retest.metric_rows(metrics, result["record"]) | retest.verdict(differs, result)
        return entry, rows | {"kept in": str(entry)}


def _lacks(now: Evaluated, folder: Path, summary: Facts) -> bool:
    """Whether a trained run has no result of that kind yet."""
    if summary.get("status") not in {"trained", "finished"}:
        return False
    if now.command == "test":
        return not any(name.startswith("test") for name in summary.get("metrics") or {})
    if now.command == "validate":
        return "after" not in summary
    return not any(_is_readable(predictions.place(folder, name)) for name in now.facts["splits"])


def _is_readable(path: Path) -> bool:
    try:
        return bool(predictions.read(path))
    except (OSError, ValueError):
        return False
