"""``transferlab predict --run RUN INPUT``."""

import argparse
import itertools
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.reading.relations import has_spans
from transferlab.use.answering import Answering, is_chat
from transferlab.use.export.facts import NAME, is_export, read
from transferlab.use.prediction import outputs
from transferlab.use.prediction.inputs import Input, Row, Wanted
from transferlab.use.prediction.meter import Meter
from transferlab.use.prediction.options import parser
from transferlab.use.prediction.outputs import Lines, Output

ROWS, CHARACTERS = 2048, 4_000_000
"""What is answered at once: rows, and characters of their texts."""
KEEP_EVERY = 5.0
"""Seconds between two notes of how far an output is."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab predict --run RUN INPUT``.

    Raises:
        TransferlabError: No such run or file, a row that cannot be read, or an output that is there already.
    """
    asked = parser().parse_args(arguments)
    run = Path(asked.run) if is_export(Path(asked.run)) else run_folder.find(asked.run, asked.root)
    if asked.output and os.path.exists(asked.output) and not asked.overwrite:
        raise TransferlabError(f"--output: {asked.output} is there already; --overwrite replaces it.")
    predictor = _load(run, asked)
    if asked.text:
        predictor.read_from(asked.text)
    marked = KINDS[predictor.task.kind].marked
    wanted = Wanted(predictor.text, predictor.task.worded, asked.delimiter, asked.encoding, marked)
    given = Input(asked.input, wanted, asked.format)
    form = asked.output_format or outputs.FORMATS.get(asked.output.suffix.lower() if asked.output else "", "")
    form = form or _like(given.format)
    parquet = form == "parquet"
    if parquet and not asked.output:
        raise TransferlabError("--output-format: Parquet needs a file (--output).")
    lines = Lines("jsonl" if parquet else form, given.columns, predictor.task, given.delimiter)
    _refuse_clash(given, lines, predictor)
    with Meter(given) as meter:
        if asked.output is None:
            sys.stdout.write(lines.header())
            empty = answer_all(predictor, given, lines, None, meter)
        else:
            output = Output(asked.output, _identity(asked, run))
            if output.done:
                meter.say(f"{output.part} holds {output.done:,} rows; continuing behind them")
            else:
                output.write(lines.header())
            empty = answer_all(predictor, given, lines, output, meter)
            output.close(parquet)
    meter.end(f" -> {asked.output}" if asked.output else "")
    if empty:
        meter.say(f"{empty:,} row(s) without text have no prediction")


def _load(run: Path, asked: argparse.Namespace) -> Answering[Any]:
    """The run, or what was exported of it; the latter without torch, unless it writes texts."""
    if is_export(run):
        if asked.device not in (None, "cpu"):
            raise TransferlabError("--device: an exported folder is asked on the processor.")
        if read(run).prompts is not None:
            from transferlab.use.writer import Writer

            return Writer(run, asked.calibrated, asked.batch_size)
        from transferlab.use.exported import Exported

        return Exported(run, asked.calibrated, asked.batch_size)
    from transferlab.ground.lean import import_losses, import_torchmetrics, uncollected
    from transferlab.ground.quiet import quiet

    with uncollected():
        import_torchmetrics()
        import_losses()
        from transferlab.use.predictor import Predictor

        quiet()
    return Predictor.load(run, asked.calibrated, asked.device, asked.batch_size, asked.root)


def answer_all(predictor: Answering[Any], given: Input, lines: Lines, output: Output | None, meter: Meter) -> int:
    """Answers all rows, in their order; returns how many had no text.

    Raises:
        TransferlabError: A row cannot be answered; names its line.
    """
    done = output.done if output else 0
    rows = iter(given.rows)
    # what was answered before is passed over first, so that the time left counts what is read now
    next(itertools.islice(rows, done, done), None)
    meter.begin(done)
    kept = time.monotonic()
    empty = 0
    for part in _parts(rows, predictor.text):
        full = [row for row in part if _has_text(row, given, predictor)]
        if not meter.rows:
            _tell_unread(predictor, full, meter)
        try:
            answers = iter(predictor.predict([row.cells for row in full]))
        except TransferlabError as error:
            raise _placed(error, full, given) from error
        whole = {row.line for row in full}
        empty += len(part) - len(full)
        text = "".join(lines.text(row.cells, next(answers) if row.line in whole else None) for row in part)
        done += len(part)
        meter.advance(len(part))
        if output is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            continue
        output.write(text)
        if time.monotonic() - kept > KEEP_EVERY:
            output.keep(done)
            kept = time.monotonic()
    return empty


def _tell_unread(predictor: Answering[Any], rows: Sequence[Row], meter: Meter) -> None:
    """Warns of texts that the encoder cannot read; training and testing on them is refused."""
    cells = [row.cells for row in rows if all(name in row.cells for name in predictor.text)]
    if found := predictor.unread({name: [row[name] for row in cells] for name in predictor.text}):
        meter.say(f"warning: {found}: the run was not made for this language, and its answers say nothing")


def _placed(error: TransferlabError, rows: Sequence[Row], given: Input) -> TransferlabError:
    """The same with the line of the file in place of the number of the example."""
    found = re.match(r"example (\d+): ", str(error))
    if not found:
        return error
    return TransferlabError(f"{given.name}, line {rows[int(found[1])].line}: {str(error)[found.end() :]}")


def _parts(rows: Iterator[Row], text: Sequence[str]) -> Iterator[list[Row]]:
    """Rows that are answered at once."""
    part: list[Row] = []
    size = 0
    for row in rows:
        part.append(row)
        size += sum(len(row.cells.get(name) or "") for name in text if isinstance(row.cells.get(name), str | list))
        if len(part) >= ROWS or size >= CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part


def _has_text(row: Row, given: Input, predictor: Answering[Any]) -> bool:
    """Whether there is something to answer.

    Raises:
        TransferlabError: A cell that is no text; names its line.
    """
    if KINDS[predictor.task.kind].marked and has_spans(row.cells):
        return True
    cells = [row.cells.get(name) for name in predictor.text]
    for name, cell in zip(predictor.text, cells, strict=True):
        if name not in row.cells:
            raise TransferlabError(
                f"{given.name}, line {row.line}: no {name!r} among {', '.join(row.cells)}; choose with --text."
            )
        words = predictor.task.worded and isinstance(cell, list)
        chat = predictor.task.kind == "text" and is_chat(cell)
        if not (
            cell is None
            or chat
            or isinstance(cell, str)
            or (words and all(isinstance(word, str) for word in cell or ()))
        ):
            raise TransferlabError(f"{given.name}, line {row.line}: {name!r} must be text, not {str(cell)[:60]!r}.")
    return all(cell.strip() if isinstance(cell, str) else cell for cell in cells)


def _like(format: str) -> str:
    return format if format in {"csv", "tsv", "conll"} else "jsonl"


def _refuse_clash(given: Input, lines: Lines, predictor: Answering[Any]) -> None:
    added = lines.added if lines.format in {"csv", "tsv"} else list(outputs.names_of(predictor.task))
    if clash := [name for name in given.columns if name in added]:
        raise TransferlabError(
            f"{given.name}: the column {clash[0]!r} is called as one of the predictions; rename it first."
        )


def _identity(asked: argparse.Namespace, run: Path) -> dict[str, Any]:
    """What decides the answers: only a part with the same is continued."""
    if asked.input == "-":
        read: list[Any] = [time.time()]
    else:
        place = Path(asked.input)
        read = [str(place.absolute()), place.stat().st_size, place.stat().st_mtime_ns]
    # what an export says of itself holds the sums of its files
    weights = hashes.of_path(run / (NAME if is_export(run) else "checkpoints/best.ckpt"))
    options = [asked.text, asked.format, asked.output_format, asked.calibrated, asked.encoding, asked.delimiter]
    return {"input": read, "weights": weights, "options": options}
