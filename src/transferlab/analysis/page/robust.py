"""Sections on what is beside the record: changed texts, and files of other domains."""

from collections.abc import Sequence
from typing import Any

from transferlab.analysis.comparison import elsewhere
from transferlab.analysis.comparison.groups import estimate
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.lengths import wilson
from transferlab.analysis.page.markup import Html, details, join, note, table
from transferlab.analysis.page.settings import named

OF = {
    "tagging": "the share of words that are right",
    "slots": "the share of texts with the right intent and all slots right",
    "regression": "the absolute error, with the sign turned",
    "multilabel": "the share of examples with all labels right",
    "qa": "F1",
}


def is_measured(task: Task) -> bool:
    """Whether some run was asked changed texts."""
    return any(elsewhere.changes(run) for setting in task.settings for run in setting.runs)


def is_elsewhere(task: Task) -> bool:
    """Whether some run was tested on another file."""
    return any(elsewhere.entries(run) for setting in task.settings for run in setting.runs)


def changed_texts(task: Task) -> Html:
    """For each perturbation and setting what becomes of the right answers, and how many predictions change."""
    known = [(setting, found) for setting in task.settings if (found := _found(setting))]
    names = list(dict.fromkeys(name for _, found in known for one in found for name in one["changes"]))
    rows = [
        [name, named(setting), *_cells([one["changes"][name] for one in found if name in one["changes"]])]
        for name in names
        for setting, found in known
    ]
    kind = str(task.known("kind"))
    text = note(
        f"By transferlab robustness, on test examples with their texts as they are and changed. The difference is that "
        f"of {OF.get(kind, 'accuracy')}, over all examples and paired, with its 95 % interval (of one run over its "
        "examples, of several over seeds). Predictions changed: of the texts that a change alters, with Wilson's 95 % "
        "interval over all runs. It enters no rank."
    )
    shown = [_shown(setting, found[0]) for setting, found in known]
    head = ["change", "setting", "runs", "examples", "texts changed", "difference", "predictions changed"]
    return join(table(head, rows, numeric=(2, 3, 4, 5, 6), class_="stack"), text, shown)


def _found(setting: Setting) -> list[dict[str, Any]]:
    return [found for run in setting.runs if (found := elsewhere.changes(run))]


def _cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Runs, examples, changed texts, difference and changed predictions of a change and a setting."""
    if not rows:
        return ["-"] * 5
    share = [row["changed_predictions"] for row in rows]
    trials = sum(one["trials"] for one in share)
    counts = [str(len(rows)), f"{sum(row['examples'] for row in rows):,}", f"{trials:,}"]
    if not trials:
        return [*counts, "-", "-"]
    moved = wilson(round(sum(one["value"] * one["trials"] for one in share)), trials)
    apart = estimate([row["difference"]["mean"] for row in rows])
    assert apart is not None
    low, high = (rows[0]["difference"][end] for end in ("low", "high")) if len(rows) == 1 else (apart.low, apart.high)
    interval = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
    percent = f"{100 * moved.value:.1f} % ({100 * moved.low:.1f}-{100 * moved.high:.1f})"
    return [*counts, f"{apart.mean:+.3f}{interval}", percent]


def _shown(setting: Setting, found: dict[str, Any]) -> Html:
    rows = [
        [name, " | ".join(one["text"]), _prediction(one["before"]), _prediction(one["after"])]
        for name, change in found["changes"].items()
        for one in change.get("shown", ())
    ]
    what = f"texts that changed a prediction of {setting.name}"
    return details(what, table(["change", "text", "before", "after"], rows, class_="stack")) if rows else Html("")


def _prediction(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['intent']} ({' '.join(value['slots'])})"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def other_files(task: Task) -> Html:
    """The metric of each setting on files that are not of the data set."""
    names = elsewhere.files_of([run for setting in task.settings for run in setting.runs])
    rows = []
    for setting in task.settings:
        cells, there = [], [elsewhere.entries(run) for run in setting.runs]
        for name in names:
            results = [one[name] for one in there if name in one]
            cells.append(_score(results, task.metric))
        if any(cell != "-" for cell in cells):
            rows.append([named(setting), _own(setting), *cells])
    text = note(
        f"{task.metric} by transferlab test --files, beside the record: no rank and no test reads it. Of one run the "
        "interval is Wilson's over the examples (accuracy only), of several the one over seeds."
    )
    return join(table(["setting", "own test set", *names], rows, class_="stack"), text)


def _own(setting: Setting) -> str:
    score = setting.group.score
    return "-" if score is None else f"{score.mean:.4f}"


def _score(results: Sequence[dict[str, Any]], metric: str) -> str:
    found = estimate([score for one in results if (score := elsewhere.value(one, metric)) is not None])
    if found is None:
        return "-"
    low, high = found.low, found.high
    if len(results) == 1 and metric == "accuracy" and results[0].get("interval"):
        low, high = results[0]["interval"]
    count = next(iter(results[0]["evaluated"]["splits"].values()))["examples"]
    return f"{found.mean:.4f}{'' if low is None else f' ({low:.4f}-{high:.4f})'}, n = {count:,}"
