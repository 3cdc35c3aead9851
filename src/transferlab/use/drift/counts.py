"""Compares the counts that a service keeps with the validation set of a run: no text is needed, and no model."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.analysis.comparison.significance import holm
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks.kinds.multilabel import flags
from transferlab.tasks.spec import TaskSpec
from transferlab.use.drift import inputs, measure, report, samples

Array = np.ndarray[Any, Any]
TENTHS = [f"{tenth / 10}" for tenth in range(10)]


def read(path: Path) -> tuple[dict[str, Any], int]:
    """Sums up the lines of the newest model in a file of counts, see `transferlab.use.serving.keeping.Kept`.

    Returns:
        ``texts`` and counters by name; and how many lines are of other models.

    Raises:
        TransferlabError: No such file, or a line that holds no counts.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        newest = [line for line in lines if line["model"] == lines[-1]["model"]]
        found: dict[str, Any] = {"texts": sum(int(line["texts"]) for line in newest)}
        for name in ("predictions", "confidence"):
            found[name] = sum((Counter(line.get(name) or {}) for line in newest), Counter())
        for name in ("sum", "sum_of_squares"):
            found[name] = sum(float(line.get(name) or 0) for line in newest)
    except OSError as error:
        raise TransferlabError(f"--counts: {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TransferlabError(f"--counts: {path} holds no counts of `transferlab serve --keep-counts`.") from error
    if found["texts"] < inputs.FEWEST:
        raise TransferlabError(f"--counts: {path} counts {found['texts']} texts; {inputs.FEWEST} are needed.")
    return found, len(lines) - len(newest)


def run(asked: argparse.Namespace) -> None:
    """Compares a file of counts with the validation set of a run.

    Raises:
        TransferlabError: No such run or file, or labels that the run does not have.
        SystemExit: Exit code 1 where something drifted and ``--fail`` is given.
    """
    folder = run_folder.find(asked.run, asked.root)
    spec = run_folder.whole_summary(folder)["spec"]
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    task = TaskSpec(**fields)
    if task.worded:
        raise TransferlabError("--counts: entities are counted there, not words; keep texts and give them as INPUT.")
    found, others = read(asked.counts)
    if unknown := sorted(set(found["predictions"]) - set(measure.classes(task))):
        raise TransferlabError(f"--counts: {asked.counts} has the label {unknown[0]!r}, which {folder} does not have.")
    lines = inputs.validation_records(folder)
    result: dict[str, Any] = {"run": str(folder), "input": str(asked.counts), "kind": task.kind, "distributions": {}}
    result["rows"] = {"validation": len(lines), "new": found["texts"], "read": found["texts"]}
    result["checks"] = measure.correct(_checks(task, lines, found))
    result["labels"], reason = _shares(task, lines, found)
    result["left_out"] = {"length, features": "they are not among the counts; give texts as INPUT"}
    if reason:
        result["left_out"]["shares of right labels"] = reason
    if others:
        result["left_out"][f"{others} lines"] = "they are of other models than the newest"
    result["verdict"] = measure.verdict(result)
    report.conclude(result, asked)


def _checks(task: TaskSpec, lines: measure.Records, found: dict[str, Any]) -> list[measure.Result]:
    if task.kind == "regression":
        known = np.array([line["prediction"] for line in lines], dtype=float)
        return [measure.check("predicted values", "mean", _means(known, found))]
    now = np.array([found["predictions"][label] for label in measure.classes(task)], dtype=float)
    if task.kind == "multilabel":
        given = flags([line["prediction"] for line in lines], measure.classes(task)).sum(0)
        tables = [[[a, len(lines) - a], [b, found["texts"] - b]] for a, b in zip(given, now, strict=True)]
        each = [_chi_squared(np.array(table)) for table in tables]
        largest = max(each, key=lambda test: test.value)
        return [
            measure.check(
                "predicted labels", "label that moved most", largest._replace(p=min(holm([t.p for t in each])))
            )
        ]
    given = measure.answers(task, [line["prediction"] for line in lines]).sum(0)
    checks = [measure.check("predicted labels", "share that moved", _chi_squared(np.stack([given, now])))]
    if found["confidence"]:
        sure = Counter(TENTHS[min(int(max(line["scores"]) * 10), 9)] for line in lines)
        table = np.array([[side[tenth] for tenth in TENTHS] for side in (sure, found["confidence"])], dtype=float)
        checks.append(measure.check("confidence", "share that moved", _chi_squared(table)))
    return checks


def _chi_squared(table: Array) -> samples.Compared:
    """Pearson's test of two rows of counts; `value` is their total variation distance."""
    from scipy.stats import chi2_contingency

    seen = table[:, table.any(0)]
    shares = seen / seen.sum(1, keepdims=True)
    p = 1.0 if seen.shape[1] < 2 else float(chi2_contingency(seen, correction=False).pvalue)
    return samples.Compared(float(np.abs(shares[0] - shares[1]).sum() / 2), p)


def _means(known: Array, found: dict[str, Any]) -> samples.Compared:
    """The difference of two means by Welch, of one of which only the sums are known."""
    from scipy import stats

    count, mean = found["texts"], found["sum"] / found["texts"]
    variance = max(found["sum_of_squares"] / count - mean**2, 0) * count / (count - 1)
    sides = [(known.mean(), known.std(ddof=1), len(known)), (mean, variance**0.5, count)]
    test = stats.ttest_ind_from_stats(*sides[1], *sides[0], equal_var=False)
    parts = [spread**2 / number for _, spread, number in sides]
    freedom = sum(parts) ** 2 / sum(part**2 / (n - 1) for part, (_, _, n) in zip(parts, sides, strict=True))
    half = float(stats.t.ppf(0.975, freedom)) * sum(parts) ** 0.5
    gain = float(mean - known.mean())
    return samples.Compared(gain, float(test.pvalue), gain - half, gain + half)


def _shares(task: TaskSpec, lines: measure.Records, found: dict[str, Any]) -> tuple[dict[str, measure.Result], str]:
    now = np.array([found["predictions"][label] for label in measure.classes(task)], dtype=float)
    if task.kind == "multilabel":
        return measure.label_shares(task, lines, np.stack([found["texts"] - now, now], 1))
    return measure.label_shares(task, lines, now)
