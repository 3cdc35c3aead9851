"""A baseline leaves the same kind of run directory as a neural run."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import yaml

from transferlab.analysis.keeping import keep
from transferlab.baselines.choice import method_of
from transferlab.baselines.methods import Baseline
from transferlab.baselines.rows import Array, Part, Parts, evaluate
from transferlab.baselines.vectors import WordVectors
from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.ground.memory import peak_memory_mb
from transferlab.ground.progress import waiting
from transferlab.record import folder as run_folder
from transferlab.record import predictions, report, setting, texts, thresholds
from transferlab.record.environment import note_start
from transferlab.record.record import RunRecord
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.kinds import KINDS as ANSWERS
from transferlab.tasks.spec import TaskSpec, direction
from transferlab.tasks.task import Task


class BaselineRecorder(RunRecord):
    """The record of a baseline: the same files with the same keys as that of a neural run."""

    thresholds: Array | None = None

    def begin(self, data: Task, parts: Parts, config: str) -> None:
        """Creates the folder and writes what is known before fitting."""
        self._data, self.started = data, time.perf_counter()
        self.summary |= facts(data, parts)
        run_folder.create(self.folder)
        (self.folder / "config.yaml").write_text(config, encoding="utf-8")
        note_start(self.folder)
        self._write("running")

    def complete(self, task: TaskSpec, baseline: Baseline, parts: Parts) -> None:
        """Fits, evaluates, writes metrics and predictions, prints header and result."""
        started = time.perf_counter()
        with waiting(f"fitting {baseline.strategy} on {len(parts.train.ids):,} training examples"):
            baseline.fit(parts.train, parts.validation)
        seconds = max(time.perf_counter() - started, 1e-9)
        count = baseline.coefficients
        self.summary["params"] = {"total": count, "trainable": count, "trainable_pct": 100.0 if count else 0.0}
        self.header()
        selecting = baseline.predict(parts.validation)
        if baseline.kind.thresholded and baseline.fits_thresholds:
            self.thresholds = baseline.kind.thresholds(selecting, parts.validation.labels)
        asked = task.kind == "qa"
        judged = baseline.kind.decide(selecting, self.thresholds) if asked else selecting
        values = evaluate(task, judged, parts.validation.labels)
        self.after(
            {f"val/{name}": value for name, value in values.items()}
            | {"val/primary": direction(task.primary) * values[task.primary]}
        )
        validation = self._records(baseline, selecting, None, parts.validation)
        predictions.write(self.folder / "predictions" / "validation.jsonl", validation)
        if self.thresholds is not None:
            found = self.thresholds.tolist()
            known = thresholds.of_questions(found, validation) if asked else None
            self.summary["thresholds"] = known or thresholds.facts(task.labels, found, validation)
        lines = {name: self._test(baseline, name, part) for name, part in zip(task.tests, parts.tests, strict=True)}
        texts.write(self.folder, self._data, lines)
        if parts.tests:
            self.summary["test"]["latency_ms"] = latency_ms(baseline, parts.tests[0])
        self.summary["perf"] |= {
            "wall_s": round(time.perf_counter() - self.started, 2),
            "train_s": round(seconds, 2),
            # a speed says nothing where nothing is fitted
            "samples_s": round(len(parts.train.ids) / seconds, 2) if count else None,
            "peak_mem_mb": round(peak_memory_mb(), 1),
        }
        self._write("finished")
        self.result()

    def _records(
        self, baseline: Baseline, predicted: Array, thresholds: Array | None, part: Part
    ) -> list[predictions.Record]:
        task = baseline.task
        if task.kind == "qa":
            decided = baseline.kind.decide(predicted, self.thresholds)
            return predictions.records(task, {"index": part.ids, "answers": decided, "golds": part.labels}, part.labels)
        if task.kind == "text":
            written = {"index": part.ids, "texts": predicted, "references": part.labels}
            return predictions.records(task, written, part.labels)
        outputs = {"index": part.ids, "word_mask": part.labels != IGNORE}
        if task.worded:
            outputs["classes"] = predicted
        else:
            outputs |= {"logits": predicted, "loss": baseline.kind.losses(predicted, part.labels)}
            if (scores := baseline.kind.probabilities(predicted)) is not None:
                outputs["scores"] = scores
            if baseline.kind.thresholded:
                outputs["classes"] = baseline.kind.decide(predicted, thresholds)
        return predictions.records(task, outputs, part.labels)

    def _test(self, baseline: Baseline, split: str, part: Part) -> list[predictions.Record]:
        task, started = baseline.task, time.perf_counter()
        predicted = baseline.predict(part)
        seconds = time.perf_counter() - started
        decided = baseline.kind.decide(predicted, self.thresholds)
        self.summary["metrics"] |= {f"{split}/{k}": v for k, v in evaluate(task, decided, part.labels).items()}
        lines = self._records(baseline, predicted, self.thresholds, part)
        if split == "test":
            self.summary["per_class"] = report.per_class(task, lines)
            self.summary["test"] = predictions.facts(task.kind, lines)
            self.summary["test"] |= predictions.of_texts(task, lines, seconds)
            if shares := ANSWERS[task.kind].parts(lines):
                self.summary["test"]["parts"] = shares
        return lines

    def fail(self, error: BaseException) -> None:
        """Marks the run as failed or interrupted."""
        self.summary["error"] = f"{type(error).__name__}: {error}".strip()
        self._write("interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed")


def latency_ms(baseline: Baseline, part: Part) -> float:
    """Median time of predicting one of up to eight examples alone, three times each, in milliseconds."""
    times = []
    for row in range(0, len(part.ids), max(len(part.ids) // 8, 1))[:8]:
        one = slice(row, row + 1)
        alone = Part(part.ids[one], tuple(cells[one] for cells in part.columns), part.labels[one])
        for _ in range(3):
            started = time.perf_counter()
            baseline.predict(alone)
            times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times), 3)


def facts(data: Task, parts: Parts) -> dict[str, Any]:
    """What a summary says of a baseline before it is fitted; no encoder, no weights, and texts are read whole."""
    task = data.spec
    return {
        "task": task.name,
        "kind": task.kind,
        "labels": list(task.labels),
        **({"negative": task.negative} if task.negative else {}),
        "scheme": task.scheme,
        "primary": task.primary,
        "encoder": "-",
        "protocol": data.protocol_name,
        "fold": data.protocol.fold if data.protocol.folds else None,
        "data": {
            "origin": data.origin,
            "version": data.version,
            "versions": data.versions,
            "train_examples": len(parts.train.ids),
            "train_fraction": data.protocol.train_fraction,
            "validation": f"{len(parts.validation.ids)} examples of {data.part_rows('validation')[0]}",
            "test": list(data.source.test),
            "unused": list(data.unused),
            "max_length": None,
            "truncation": None,
        },
        "inspection": data.inspection,
        "weights": "none",
        "params": {"total": 0, "trainable": 0, "trainable_pct": 0.0},
        "metrics": {},
        "perf": dict.fromkeys(("wall_s", "samples_s", "tokens_s", "step_ms", "peak_mem_mb")),
        "checkpoint_mb": None,
        "per_class": {},
    }


def _there(path: Path) -> Path:
    if not path.is_file():
        raise TransferlabError(f"--vectors: no such file: {path}.")
    return path


def run(method: str, data: Task, parts: Parts, settings: Any, config: str) -> Path:
    """Fits and tests one method and leaves a run directory.

    Args:
        method: A key of `transferlab.baselines.choice.METHODS`.
        data: The task.
        parts: What `read_parts` gave for it.
        settings: The parsed command line: `seed_everything` and `run`.
        config: The text of ``config.yaml``.

    Returns:
        The run directory.
    """
    baseline = method_of(method, data.spec.kind)(data.spec, int(settings.seed_everything))
    tree = yaml.safe_load(config)
    if isinstance(baseline, WordVectors) and settings.vectors:
        baseline.path = Path(settings.vectors)
        # by content, wherever the file lies
        tree["vectors"] = hashes.of_file(_there(baseline.path))
    experiment = f"baseline_{method}_{data.task}"
    folder = run_folder.choose(Path(settings.run.root), experiment, baseline.seed)
    os.environ.pop(run_folder.VARIABLE, None)  # it names the folder of one run; the next method has its own
    if run_folder.read_summary(folder).get("status") == "finished":
        print(f"{folder} is finished.")
        return folder
    identity = {
        "experiment": experiment,
        "run": folder.name,
        "strategy": baseline.strategy,
        "setting": setting.fingerprint(tree),
    }
    recorder = BaselineRecorder(folder, identity | {"seed": baseline.seed, "tags": list(settings.run.tags)})
    recorder.begin(data, parts, config)
    try:
        recorder.complete(data.spec, baseline, parts)
        keep(folder)
    except BaseException as error:
        recorder.fail(error)
        raise
    return folder
