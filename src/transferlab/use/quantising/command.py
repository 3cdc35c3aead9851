"""``transferlab quantise --run RUN``."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.use.export import facts as facts_of
from transferlab.use.export.facts import ALONE, ANY, Facts
from transferlab.use.exported import MODEL, Exported
from transferlab.use.quantising import entry, forms, labelled, report
from transferlab.use.quantising.labelled import Examples
from transferlab.use.quantising.measure import Measured, changed, measure

NAME = "quantised.json"
LEFT_OUT = ("parity.json", "README.md", MODEL, NAME)
"""Files of the export in float32 that say nothing of a quantised one."""
CALIBRATION_BATCH = 16


class Asked(NamedTuple):
    """What was asked on the command line, see `transferlab.use.quantising.options`."""

    run: str
    form: str = "int8-dynamic"
    max_changed: float = 0.03
    output: Path | None = None
    overwrite: bool = False
    files: str | None = None
    label: str | None = None
    calibrate: str | None = None
    record: bool = True
    root: Path = Path("runs")


class Judged(NamedTuple):
    """A quantised model beside the one in float32.

    Attributes:
        form: How it was quantised.
        examples: What they were asked.
        full: The one in float32.
        small: The quantised one.
        changed: Changed predictions, and of how many.
        batching: `ANY`, or `ALONE` where an answer depends on the other texts of a batch.
    """

    form: str
    examples: Examples
    full: Measured
    small: Measured
    changed: tuple[int, int]
    batching: str

    @property
    def share(self) -> float:
        """Of predictions that changed."""
        return self.changed[0] / max(self.changed[1], 1)


def run(asked: Asked) -> None:
    """Quantises a run or an export, and prints what it costs.

    Raises:
        TransferlabError: No such run or export, no labelled examples, or more changed predictions than are allowed.
    """
    quiet()
    if facts_of.is_export(Path(asked.run)):
        judged, folder = _of_export(asked, Path(asked.run), None)
    else:
        found = run_folder.find(asked.run, asked.root)
        with tempfile.TemporaryDirectory() as scratch:
            from transferlab.use.export.command import export

            _target(asked, found.parent.name)
            export(found, "onnx", Path(scratch) / "onnx")
            judged, folder = _of_export(asked, Path(scratch) / "onnx", found)
    print(report.table(judged))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:,.1f} MB")


def _of_export(asked: Asked, source: Path, run: Path | None) -> tuple[Judged, Path]:
    facts = facts_of.read(source)
    if facts.quantised:
        raise TransferlabError(f"--run: {source} is {facts.quantised} already; name the run or its export in float32.")
    # first: it refuses other formats, and models that write
    full = Exported(source)
    target = _target(asked, str(facts.run.get("experiment") or source.name))
    run = run or labelled.run_of(facts, asked.root)
    examples = _examples(asked, facts, run)
    fresh = target.with_name(f"{target.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        shutil.copytree(source, fresh, ignore=shutil.ignore_patterns(*LEFT_OUT))
        batches = _calibration(asked, full, run) if asked.form == "int8-static" else []
        forms.write(asked.form, source / MODEL, fresh / MODEL, batches)
        # a dynamic scale is that of a whole batch, whatever the examples show
        facts = facts._replace(quantised=asked.form, batching=ALONE if asked.form == "int8-dynamic" else ANY)
        facts.write(fresh)
        judged = judge(full, fresh, examples)
        if judged.share > asked.max_changed:
            raise TransferlabError(
                f"--max-changed: {judged.changed[0]:,} of {judged.changed[1]:,} predictions ({judged.share:.2%}) are "
                f"other ones than in float32, more than {asked.max_changed:.2%}; nothing was written. "
                f"{report.remedy(asked.form)}\n{report.table(judged)}"
            )
        _write(fresh, facts, judged)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
    if asked.record and run is not None and examples.data is not None:
        entry.keep(run, judged)
    return judged, target


def judge(full: Exported, folder: Path, examples: Examples) -> Judged:
    """Asks both models the same examples: the quantised one as it is to be asked in service."""
    facts = facts_of.read(folder)
    small, wide = measure(Exported(folder), examples), measure(full, examples)
    differ = small.together is not None and small.together[0] > 0
    batching = ALONE if facts.alone or differ else ANY
    return Judged(facts.quantised, examples, wide, small, changed(facts.task, small.records, wide.records), batching)


def _target(asked: Asked, experiment: str) -> Path:
    folder = asked.output or Path("exports") / f"{experiment}-{asked.form}"
    if folder.exists() and not (asked.overwrite and (facts_of.is_export(folder) or not any(folder.iterdir()))):
        why = "--overwrite replaces an export" if facts_of.is_export(folder) else "it is no export"
        raise TransferlabError(f"--output: {folder} is there already; {why}.")
    if folder.resolve() == Path(asked.run).resolve():
        raise TransferlabError(f"--output: {folder} is what is quantised; name another folder.")
    return folder


def _examples(asked: Asked, facts: Facts, run: Path | None) -> Examples:
    if asked.files:
        return labelled.of_file(asked.files, facts, asked.label)
    if run is None:
        raise TransferlabError(
            f"--files: the run that {asked.run} was exported from is not under {asked.root}/, so there are no labeled "
            "examples to judge by; name a file of them."
        )
    return labelled.of_run(run)


def _calibration(asked: Asked, model: Exported, run: Path | None) -> list[dict[str, Any]]:
    """Padded batches of training texts, in the order that they are drawn in, so that most rows have padding."""
    if asked.calibrate:
        columns = labelled.texts_of_file(asked.calibrate, model.facts)
    elif run is not None:
        columns = labelled.training_texts(run)
    else:
        raise TransferlabError(
            f"--calibrate: int8-static sets its scales on training texts, and the run that {asked.run} was exported "
            "from is not at hand; name a file of such texts (they need no labels)."
        )
    encoded, lengths = model.encode(columns)
    rows = list(range(len(lengths)))
    parts = [rows[start : start + CALIBRATION_BATCH] for start in range(0, len(rows), CALIBRATION_BATCH)]
    return [model.feed(encoded, part) for part in parts]


def _write(folder: Path, facts: Facts, judged: Judged) -> None:
    content = json.dumps(report.content(judged), indent=2)
    (folder / NAME).write_text(content + "\n", encoding="utf-8")
    report.write_card(folder, facts, judged)
    # the last one, since it holds the sums of the others
    facts._replace(batching=judged.batching).write(folder)
