"""What stays of the texts that were answered: counts of a minute, and texts where that is allowed."""

import json
import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.spec import TaskSpec
from transferlab.use.answering import Record
from transferlab.use.serving.batcher import Job
from transferlab.use.serving.metrics import CHARACTERS, outcomes
from transferlab.use.serving.options import Keep

EVERY = 60.0
HALF = 50_000_000
"""Bytes of a file of texts; with the one before, ``FILE.1``, there are twice as many."""


class Kept:
    """Writes counts and texts beside the service.

    Counts are a line a minute, where any text came: ``from`` and ``to`` (seconds since 1970), ``model`` (version),
    ``texts``, ``predictions`` (by label, type of entity or tag), ``confidence`` (by tenths of the probability: ``0.9``
    is 0.9 to 1), ``characters`` (by upper bounds), for numbers ``sum`` and ``sum_of_squares``.

    Args:
        task: Its kind and labels.
        text: Names of the text columns.
        keep: The files.

    Raises:
        TransferlabError: A file cannot be written.
    """

    def __init__(self, task: TaskSpec, text: Sequence[str], keep: Keep) -> None:
        self._task, self._text, self._path = task, text, keep.counts
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, Counter[str]]] = {}
        self._from = time.time()
        self._file: RotatingFileHandler | None = None
        try:
            if keep.counts:
                keep.counts.open("a").close()
            if keep.texts:
                # texts are for their owner alone
                os.close(os.open(keep.texts, os.O_CREAT | os.O_WRONLY, 0o600))
                self._file = _Texts(keep.texts, maxBytes=HALF, backupCount=1, encoding="utf-8")
        except OSError as error:
            raise TransferlabError(f"{error.filename} cannot be written: {error.strerror}.") from error

    def batch(self, jobs: Sequence[Job], answers: Sequence[Record], seconds: float) -> None:
        """Takes in a batch."""
        if self._path:
            with self._lock:
                for job, answer in zip(jobs, answers, strict=True):
                    self._count(job, answer)
            if time.time() - self._from > EVERY:
                self.flush()
        if self._file:
            for job, answer in zip(jobs, answers, strict=True):
                row = {**self._columns(job.example), **_short(answer), "model": job.model.version}
                self._file.handle(makeLogRecord({"msg": json.dumps(row, ensure_ascii=False)}))

    def _count(self, job: Job, answer: Record) -> None:
        known = self._counts.setdefault(job.model.version, {})

        def add(name: str, key: str, by: float = 1) -> None:
            known.setdefault(name, Counter())[key] += by  # type: ignore[assignment]

        add("texts", "")
        bound = bisect_left(CHARACTERS, job.characters)
        add("characters", f"{CHARACTERS[bound]}" if bound < len(CHARACTERS) else "more")
        for label in outcomes(self._task, answer):
            add("predictions", label)
        if "probability" in answer:
            add("confidence", f"{min(int(answer['probability'] * 10), 9) / 10}")
        if self._task.kind == "regression":
            add("sum", "", answer["prediction"])
            add("sum_of_squares", "", answer["prediction"] ** 2)

    def _columns(self, example: Any) -> dict[str, Any]:
        if isinstance(example, Mapping):
            return dict(example)
        return dict(zip(self._text, [example] if len(self._text) == 1 else example, strict=True))

    def flush(self) -> None:
        """Writes the counts since the last line."""
        with self._lock:
            counts, self._counts = self._counts, {}
            since, self._from = self._from, time.time()
        if not self._path or not counts:
            return
        with self._path.open("a", encoding="utf-8") as file:
            for version, found in counts.items():
                told = {name: kept[""] if set(kept) == {""} else dict(kept) for name, kept in found.items()}
                span = {"from": round(since, 3), "to": round(self._from, 3), "model": version}
                file.write(json.dumps(span | told, ensure_ascii=False) + "\n")


class _Texts(RotatingFileHandler):
    def _open(self) -> Any:
        # a file after the first one is for its owner alone, too
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
        return super()._open()

    def handleError(self, record: LogRecord) -> None:
        """A full disk is no reason to fail a request, and no reason to print the text."""


def _short(answer: Record) -> Record:
    return {key: answer[key] for key in ("prediction", "probability") if key in answer}
