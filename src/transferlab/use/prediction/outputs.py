"""Rows with their answers as lines of a file, and a file that goes on after a kill."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import INTENT, TaskSpec

Answer = dict[str, Any]
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".conll": "conll",
    ".parquet": "parquet",
}
"""Suffix of the output to format; JSON lines for all others."""


def names_of(task: TaskSpec) -> tuple[str, ...]:
    """The keys that an answer adds to a row."""
    if task.kind == "tagging":
        return ("words", "prediction", "entities")
    if task.kind == "slots":
        return ("prediction", "probability", "margin", "probabilities", "words", "slots", "entities")
    if task.kind == "regression":
        return ("prediction",)
    if task.kind == "text":
        return ("prediction", "end", "new_tokens")
    if task.kind == "qa":
        return ("prediction", "start", "end", "score", "margin", "n_best")
    single = ("probability", "margin") if KINDS[task.kind].single else ()
    return ("prediction", *single, "probabilities")


def plain(cell: Any) -> Any:
    """A value as a table holds it: lists and objects as JSON, so that they are read again."""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell


class Lines:
    """Makes text of rows.

    Args:
        format: ``csv``, ``tsv``, ``jsonl`` or ``conll``.
        columns: Those of the input, for a table.
        task: Names what is added, and the labels.
        delimiter: What stands between two columns of a CSV file.
    """

    def __init__(self, format: str, columns: Sequence[str], task: TaskSpec, delimiter: str = ",") -> None:
        self.format = format
        self.task = task
        self.columns = tuple(columns)
        self.delimiter = "\t" if format == "tsv" else delimiter
        if format == "conll" and not task.worded:
            raise TransferlabError(f"--output: a CoNLL file holds a tag for each word; {task.name} is {task.kind}.")

    @property
    def added(self) -> list[str]:
        """Columns that a table gets."""
        names = list(names_of(self.task))
        if "probabilities" in names:
            at = names.index("probabilities")
            classes = [label.removeprefix(INTENT) for label in self.task.intents or self.task.labels]
            names[at : at + 1] = [f"probability_{label}" for label in classes]
        return names

    def header(self) -> str:
        """The first line of a table; empty for the other formats."""
        return self._joined([*self.columns, *self.added]) if self.format in {"csv", "tsv"} else ""

    def text(self, cells: Answer, answer: Answer | None) -> str:
        """A row; `answer` None where it has no text to answer."""
        if self.format == "jsonl":
            found = answer or dict.fromkeys(names_of(self.task))
            return json.dumps(cells | found, ensure_ascii=False, default=str) + "\n"
        if self.format == "conll":
            tags = "slots" if self.task.intents else "prediction"
            pairs = zip(answer["words"], answer[tags], strict=True) if answer else ()
            return "".join(f"{word}\t{tag}\n" for word, tag in pairs) + "\n"
        return self._joined([*(cells.get(name) for name in self.columns), *self._flat(answer)])

    def _flat(self, answer: Answer | None) -> list[Any]:
        if answer is None:
            return [""] * len(self.added)
        values: list[Any] = []
        for name in names_of(self.task):
            value = answer[name]
            if name == "probabilities":
                values += value.values()
            else:
                values.append(value)
        return values

    def _joined(self, cells: Sequence[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerow(map(plain, cells))
        return text.getvalue()


class Output:
    """A file that has its name when it is whole, and until then is ``NAME.part`` beside a note of how far it is.

    Args:
        path: Where it is to be.
        identity: What decides the answers; a part of others is begun anew.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.identity = identity
        self.part = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")
        self.done = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        known = self._known()
        if known:
            self.done = int(known["rows"])
            self._file: BinaryIO = self.part.open("r+b")
            self._file.truncate(int(known["bytes"]))
            self._file.seek(0, os.SEEK_END)
        else:
            self._file = self.part.open("wb")

    def _known(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(self.note.read_text(encoding="utf-8"))
            fits = known["identity"] == self.identity and self.part.stat().st_size >= known["bytes"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return known if fits else {}

    def write(self, text: str) -> None:
        """Adds text."""
        self._file.write(text.encode())

    def keep(self, rows: int) -> None:
        """Notes that what was written are so many rows."""
        self._file.flush()
        os.fsync(self._file.fileno())
        note = {"identity": self.identity, "rows": rows, "bytes": self._file.tell()}
        fresh = self.note.with_name(f"{self.note.name}.new")
        fresh.write_text(json.dumps(note), encoding="utf-8")
        fresh.replace(self.note)

    def close(self, parquet: bool = False) -> None:
        """Gives the file its name."""
        self._file.close()
        if parquet:
            as_parquet(self.part, self.path)
            self.part.unlink()
        else:
            self.part.replace(self.path)
        self.note.unlink(missing_ok=True)


def as_parquet(lines: Path, path: Path) -> None:
    """Writes JSON lines as Parquet, a part at a time.

    Raises:
        TransferlabError: A column that does not have one type.
    """
    import pyarrow
    from pyarrow import json as arrow
    from pyarrow import parquet

    fresh = path.with_name(f"{path.name}.new")
    try:
        reader = arrow.open_json(lines)
        with parquet.ParquetWriter(fresh, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except pyarrow.ArrowException as error:
        fresh.unlink(missing_ok=True)
        raise TransferlabError(f"--output: {path} cannot be Parquet ({error}); write .jsonl instead.") from error
    fresh.replace(path)
