"""Sections that read summaries and logs: seeds, cost, learning curves, classes, configuration, environment."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison import naming
from transferlab.analysis.comparison.groups import Summary, faults, score_of
from transferlab.analysis.comparison.standing import goodness
from transferlab.analysis.page import charts, gather
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, details, join, note, table, tag
from transferlab.analysis.page.scales import amount
from transferlab.analysis.page.settings import COSTS, mark, mean_of, named, shown
from transferlab.tasks.kinds.multilabel import FEWEST
from transferlab.tasks.spec import direction


def spread(task: Task) -> Html:
    """Scores of single seeds, mean and interval of each setting."""
    rows = []
    for setting in task.judged:
        score = setting.group.score
        if score is not None:
            bar = None if score.low is None or score.high is None else (score.low, score.high)
            singles = [s for run in setting.runs if (s := score_of(run)) is not None]
            rows.append((setting.number, setting.name, score.mean, bar, singles))
    if not rows:
        return note("No finished run with a test result.")
    metric = task.metric
    drawing = charts.figure(None, charts.intervals(rows, f"test {metric}"))
    several = any(len(singles) > 1 for *_, singles in rows)
    dots = "Dots are seeds, the upright stroke their mean, the line its 95 % interval."
    text = dots if several else "Every setting has one run, so no interval."
    return join(charts.grid([drawing]), note(f"{text}{_left_out(task)}"))


def _left_out(task: Task) -> str:
    """A sentence on settings with a score that are not drawn."""
    drawn = {s.number for s in task.judged}
    found = [s for s in task.settings if s.group.score is not None and s.number not in drawn]
    listed = ", ".join(f"{s.number} {s.name} ({shown(s.group.score)})" for s in found)
    return f" Not drawn, as it would take most of the axis: {listed}." if listed else ""


def pareto(task: Task) -> Html:
    """Quality against each cost, with the frontier."""
    figures, left = [], []
    for name, keys in COSTS:
        known = [(s, cost) for s in task.judged if (cost := mean_of(s, *keys)) is not None]
        drawn = [(s, cost) for s, cost in known if cost > 0]
        if len(drawn) < 2:
            left.append(name)
            continue
        free = [f"{s.number} ({s.name})" for s, cost in known if cost <= 0]
        caption = f"Without any, so not drawn: {', '.join(free)}." if free else None
        across = f"{name} (logarithmic)"
        metric = f"test {task.metric}"
        drawing = charts.scatter(_points(drawn, name), across, metric, log=True)
        figures.append(charts.figure(f"Against {name.split(',')[0]}", drawing, caption))
    text = "The dashed line joins the settings that no other beats in both quality and cost. "
    text += f"Numbers as in the table of settings; point at one for its name.{_left_out(task)}"
    if left:
        text += f" Known for fewer than two settings, so left out: {', '.join(left)}."
    return join(charts.grid(figures), note(text))


def _points(drawn: Sequence[tuple[Setting, float]], name: str) -> list[charts.Point]:
    points: list[tuple[charts.Point, float]] = []
    for setting, cost in drawn:
        score = setting.group.score
        assert score is not None
        bar = None if score.low is None or score.high is None else (score.low, score.high)
        title = f"{setting.number} {setting.name}: {shown(score)}, {name} {amount(cost)}"
        points.append((charts.Point(cost, score.mean, bar, setting.number, title), goodness(setting.group)))
    return [one._replace(fence=not any(_beats(other, (one, good)) for other in points)) for one, good in points]


def _beats(one: tuple[charts.Point, float], other: tuple[charts.Point, float]) -> bool:
    """Whether one costs no more and is no worse, and differs."""
    (here, good), (there, as_good) = one, other
    return here.x <= there.x and good >= as_good and (here.x, good) != (there.x, as_good)


def learning(task: Task) -> Html:
    """Training loss and the selecting metric over steps: the mean over seeds, behind it each seed, faintly."""
    found: dict[str, list[charts.Line]] = defaultdict(list)
    for setting in task.settings:
        logged = [(run.get("seed"), gather.curves(run)) for run in setting.runs]
        for name in gather.DRAWN:
            seeds = [(seed, curves[name]) for seed, curves in logged if len(curves.get(name, [])) > 1]
            mean = gather.mean_curve([curve for _, curve in seeds]) if len(seeds) > 1 else []
            who = f"{setting.number} {setting.name}"
            found[name] += [
                charts.Line(curve, setting.number, f"{who}, seed {seed}", faint=bool(mean)) for seed, curve in seeds
            ]
            if mean:
                found[name].append(charts.Line(mean, setting.number, f"{who}, mean of {len(seeds)} seeds"))
    found = {name: sorted(series, key=lambda line: not line.faint) for name, series in found.items() if series}
    if not found:
        return note("No logged steps in these folders (metrics.jsonl, or metrics.csv of older runs).")
    metric = task.metric
    if direction(metric) < 0:
        # logged with its sign turned, which runs of before have not
        turned = [line._replace(points=[(x, abs(y)) for x, y in line.points]) for line in found.get("val/primary", [])]
        found |= {"val/primary": turned} if turned else {}
    titles = {"train/loss": ("Training loss", "loss", 0.0), "val/primary": ("Validation", f"val {metric}", None)}
    figures = [
        charts.figure(title, charts.lines(found[name], "optimizer step", up, floor))
        for name, (title, up, floor) in titles.items()
        if name in found
    ]
    drawn = {line.number for series in found.values() for line in series}
    shown = legend([s for s in task.settings if s.number in drawn])
    faint = any(line.faint for series in found.values() for line in series)
    return join(charts.grid(figures), shown, note("Bold: the mean over seeds, as far as all go.") if faint else "")


def legend(settings: Sequence[Setting]) -> Html:
    """Colours and numbers of settings."""
    return tag("p", *(tag("span", named(setting)) for setting in settings), class_="legend")


def classes(task: Task) -> Html:
    """F1 of each class or entity type, mean over seeds."""
    with_report = [s for s in task.settings if any(run.get("per_class") for run in s.runs)]
    if not with_report:
        return note("No per-class results: this is a regression, or no run of it is finished.")
    names = list(dict.fromkeys(n for s in with_report for run in s.runs for n in run.get("per_class") or {}))
    found = {name: [v for s in with_report if (v := mean_of(s, "per_class", name, "f1"))] for name in names}
    ends = {name: (min(values, default=0.0), max(values, default=1.0)) for name, values in found.items()}
    rows = []
    for setting in with_report:
        cells = [shaded(mean_of(setting, "per_class", name, "f1"), *ends[name]) for name in names]
        both = [
            f"{mean_of(setting, 'per_class', name, 'precision') or 0:.2f} / "
            f"{mean_of(setting, 'per_class', name, 'recall') or 0:.2f}"
            for name in names
        ]
        rows.append([named(setting), *(c for pair in zip(cells, both, strict=True) for c in pair)])
    support = [mean_of(with_report[0], "per_class", name, "support") for name in names]
    titles = [f"{name} (n = {amount(n)})" if n else name for name, n in zip(names, support, strict=True)]
    head = ["setting", *(part for title in titles for part in (f"{title} F1", "precision / recall"))]
    return table(head, rows, numeric=range(1, len(head)))


def thresholds(task: Task) -> Html:
    """From which probability each label is given, mean over seeds."""
    fitted = [s for s in task.settings if any(run.get("thresholds") for run in s.runs)]
    if not fitted:
        return note("No setting has thresholds of its own: a label is given from a probability of 0.5.")
    names = task.labels
    counts = [mean_of(fitted[0], "thresholds", name, "positives") for name in names]
    rows = [[named(s), *(_cell(mean_of(s, "thresholds", name, "threshold")) for name in names)] for s in fitted]
    head = ["setting", *(f"{name} (n = {amount(count or 0)})" for name, count in zip(names, counts, strict=True))]
    text = (
        "A label is given from this probability on, which gives the best F1 of the label on the validation set "
        f"(n: examples there that have it). With fewer than {FEWEST} it stays at 0.5."
    )
    return join(table(head, rows, numeric=range(1, len(head))), note(text))


def _cell(number: float | None) -> Html:
    return tag("td", "-" if number is None else f"{number:.2f}", class_="number")


def shaded(number: float | None, low: float, high: float) -> Html:
    """A cell whose background says where a number lies between two ends."""
    if number is None:
        return tag("td", "-", class_="number")
    share = (number - low) / (high - low) if high > low else 1.0
    return tag("td", f"{number:.3f}", class_="number heat", style=f"--v:{max(0.0, min(share, 1.0)):.2f}")


def configuration(task: Task) -> Html:
    """Keys in which the settings differ."""
    rows = naming.differences([setting.group for setting in task.settings])
    if not rows:
        return note("The settings do not differ in their configuration, or there is only one.")
    body = [[tag("code", key), *(tag("td", v, class_="clip", title=v) for v in values)] for key, values in rows]
    return details(f"{len(rows)} keys differ", table(["key", *(mark(setting) for setting in task.settings)], body))


def environments(started: Sequence[dict[str, Any]]) -> Html:
    """Versions, hardware and code of all runs, with the number of runs that had each.

    Args:
        started: What ``environment.json`` of each run holds.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for tree in started:
        for key, text in _environment(tree).items():
            found[key][text] += 1
    if not found:
        return note("No environment.json in these folders.")
    rows = [
        [key, "; ".join(text if len(texts) == 1 else f"{text} ({count} runs)" for text, count in texts.most_common())]
        for key, texts in found.items()
    ]
    return table(["what", "value"], rows)


def _environment(tree: dict[str, Any]) -> dict[str, str]:
    hardware, git, packages = tree.get("hardware") or {}, tree.get("git") or {}, tree.get("packages") or {}
    if not tree or not all(isinstance(part, dict) for part in (hardware, git, packages)):
        return {}
    gpus = hardware.get("gpus") or []
    return {
        "system": str(hardware.get("system")),
        "processor": f"{hardware.get('processor')}, {hardware.get('cores')} cores, {hardware.get('threads')} threads",
        "GPUs": ", ".join(map(str, gpus)) or "none",
        "Python": str(tree.get("python")),
        **{name: str(version) for name, version in packages.items() if version},
        "commit": f"{git.get('commit')}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else "-",
    }


def folders(summaries: Sequence[Summary], started: Sequence[dict[str, Any]], root: Path) -> Html:
    """Every run with its folder and command.

    Args:
        summaries: The runs.
        started: What ``environment.json`` of each holds.
        root: The folder of all runs.
    """
    rows, above = [], f"{root}{os.sep}"
    for run, tree in zip(summaries, started, strict=True):
        folder, score = str(run.get("folder")), score_of(run)
        rows.append(
            [
                folder.removeprefix(above),
                str(run.get("task") or "-"),
                str(run.get("seed", "-")),
                "-" if score is None else f"{score:.4f}",
                "; ".join(faults(run)) or "finished",
                tag("code", _command(tree)),
            ]
        )
    return details(f"{len(rows)} runs", table(["folder", "task", "seed", "test", "status", "command"], rows, [2, 3]))


def _command(tree: dict[str, Any]) -> str:
    command = tree.get("command")
    return "transferlab " + " ".join(map(str, command)) if isinstance(command, list) else "-"
