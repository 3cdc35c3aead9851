"""The export that is served, and its exchange for another one."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS
from transferlab.use.answering import Example, Record
from transferlab.use.export.facts import Facts
from transferlab.use.exported import Exported

MARKED = "The <e1>flu</e1> gave him a <e2>fever</e2>."
WARM = ("Good.", "A text of a few words, and then of some more. " * 8)


def warm(facts: Facts) -> list[Example]:
    """A short example and a long one of a kind of task, which are asked before anybody else asks."""
    if KINDS[facts.task.kind].marked:
        return [f"{MARKED} {text}" for text in WARM]
    if facts.task.kind == "qa":
        return [("Who?", text) for text in WARM]
    count = len(facts.text)
    return [text if count == 1 else (text,) * count for text in WARM]


class Served:
    """A model in memory, warm, with the version that its answers bear.

    Args:
        folder: An exported ONNX folder.
        calibrated: Whether probabilities are scaled by the temperature of the run.
        size: Texts of a batch, at most.

    Attributes:
        version: The first digits of a hash of all files of the folder.
        together: Texts that may be asked at once; 1 for a form whose answers depend on the other texts of a batch.

    Raises:
        TransferlabError: No such folder, or one that changed while it was read.
    """

    def __init__(self, folder: Path, calibrated: bool = False, size: int = 8) -> None:
        self.version = _version(folder)
        self._model = Exported(folder, calibrated, batch_size=size, threads=1)
        self.facts: Facts = self._model.facts
        self.together = self._model.batch_size
        self.answer(warm(self.facts))
        if _version(folder) != self.version:
            raise TransferlabError(f"{folder} changed while it was read; try again when it is complete.")

    def answer(self, examples: Sequence[Example]) -> list[Record]:
        """Answers in the order of the examples."""
        return self._model.predict(examples)


class Busy(Exception):
    """Another exchange is under way."""


class Place:
    """A folder, and the model that was read from it last.

    Args:
        folder: An exported ONNX folder; it may be replaced.
        calibrated: Whether probabilities are scaled by the temperature of the run.
        size: Texts of a batch, at most.
    """

    def __init__(self, folder: Path, calibrated: bool = False, size: int = 8) -> None:
        self.folder, self._how = folder, (calibrated, size)
        self._lock = threading.Lock()
        self.current = Served(folder, *self._how)

    def swap(self) -> bool:
        """Reads the folder again; from then on new texts are answered by what lies there now.

        Texts that wait are answered by the model that they came to. There must be memory for both.

        Returns:
            Whether it is another model.

        Raises:
            Busy: Another exchange is under way.
            TransferlabError: The folder cannot be read, or answers other questions; the old model stays.
        """
        if not self._lock.acquire(blocking=False):
            raise Busy
        try:
            fresh, old = Served(self.folder, *self._how), self.current
            for name in ("kind", "labels", "scheme"):
                _same(name, getattr(old.facts.task, name), getattr(fresh.facts.task, name), self.folder)
            _same("text columns", old.facts.text, fresh.facts.text, self.folder)
            self.current = fresh
            return fresh.version != old.version
        finally:
            self._lock.release()


def _same(name: str, old: object, new: object, folder: Path) -> None:
    if old != new:
        raise TransferlabError(f"{folder}: {name} {new} instead of {old}; serve it beside, with another port.")


def _version(folder: Path) -> str:
    found = hashlib.sha256()
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found.update(f"{path.relative_to(folder)}\0".encode())
                with path.open("rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise TransferlabError(f"{folder} cannot be read: {error.strerror}.") from error
    return found.hexdigest()[:12]
