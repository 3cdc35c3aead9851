"""Sections that read summaries and logs: results, cost, learning curves, classes, configuration, environment."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison import naming
from transferlab.analysis.comparison.groups import Estimate, Summary, estimate, faults, score_of, value
from transferlab.analysis.page import charts, gather
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, details, join, note, table, tag
from transferlab.analysis.page.scales import amount

COSTS = (
    ("trainable parameters", ("params", "trainable")),
    ("wall time, s", ("perf", "wall_s")),
    ("peak memory, MB", ("perf", "peak_mem_mb")),
    ("checkpoint, MB", ("checkpoint_mb",)),
    ("latency of one example, ms", ("test", "latency_ms")),
)


def mean_of(setting: Setting, *keys: str) -> float | None:
    """Mean of a number over the runs that count."""
    found = [v for run in setting.runs if (v := value(run, *keys)) is not None]
    return sum(found) / len(found) if found else None


def shown(score: Estimate | None) -> str:
    """Mean, and half of the interval where there is one."""
    if score is None:
        return "-"
    return f"{score.mean:.4f}" + (f" ± {score.high - score.mean:.4f}" if score.high is not None else "")


def mark(setting: Setting) -> Html:
    """The coloured number of a setting."""
    return tag("span", str(setting.number), class_=f"mark {charts.colour(setting.number)}")


def named(setting: Setting) -> Html:
    """Number and name."""
    return join(mark(setting), " ", setting.name)


def results(task: Task) -> Html:
    """All settings with score and cost."""
    rows = []
    for setting in task.settings:
        bad = Counter(fault for run in setting.group.runs for fault in faults(run))
        values = [v for run in setting.runs if (v := score_of(run, "val")) is not None]
        costs = [mean_of(setting, *keys) for _, keys in COSTS]
        rows.append(
            [
                named(setting),
                shown(setting.group.score),
                ", ".join(map(str, setting.group.seeds)) or "-",
                shown(estimate(values)),
                str(setting.group.key.train_examples or "-"),
                *("-" if cost is None else amount(cost) for cost in costs),
                "; ".join(f"{fault}: {count}" if count > 1 else fault for fault, count in bad.items()),
            ]
        )
    metric = task.settings[0].group.key.metric
    head = ["setting", f"test {metric}", "seeds", f"val {metric}", "train rows", *(name for name, _ in COSTS), "faults"]
    return join(
        table(head, rows, numeric=range(1, 10)),
        note("± is half of the 95 % interval of the mean over seeds (Student's t); other test rows are not in it."),
        _mixed(task),
    )


def _mixed(task: Task) -> Html | None:
    warnings = []
    for what, found in (
        ("protocols", {s.group.key.protocol for s in task.settings if s.group.key.protocol}),
        ("metrics", {s.group.key.metric for s in task.settings if s.group.key.metric}),
    ):
        if len(found) > 1:
            warnings.append(note(f"Runs of different {what} ({', '.join(sorted(found))}): compare within one only."))
    return join(warnings) if warnings else None


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
    metric = task.settings[0].group.key.metric
    drawing = charts.figure(None, charts.intervals(rows, f"test {metric}"))
    several = any(len(singles) > 1 for *_, singles in rows)
    dots = "Dots are seeds, the upright stroke their mean, the line its 95 % interval."
    return join(charts.grid([drawing]), note(dots if several else "Every setting has one seed, so no interval."))


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
        metric = f"test {task.settings[0].group.key.metric}"
        drawing = charts.scatter(_points(drawn, name), across, metric, log=True)
        figures.append(charts.figure(f"Against {name.split(',')[0]}", drawing, caption))
    text = "The dashed line joins the settings that no other beats in both quality and cost. "
    text += "Numbers as in the table of settings; point at one for its name. The majority class is not drawn."
    if left:
        text += f" Known for fewer than two settings, so left out: {', '.join(left)}."
    return join(charts.grid(figures), note(text))


def _points(drawn: Sequence[tuple[Setting, float]], name: str) -> list[charts.Point]:
    points = []
    for setting, cost in drawn:
        score = setting.group.score
        assert score is not None
        bar = None if score.low is None or score.high is None else (score.low, score.high)
        title = f"{setting.number} {setting.name}: {shown(score)}, {name} {amount(cost)}"
        points.append(charts.Point(cost, score.mean, bar, setting.number, title))
    return [point._replace(fence=not any(_beats(other, point) for other in points)) for point in points]


def _beats(one: charts.Point, other: charts.Point) -> bool:
    return one.x <= other.x and one.y >= other.y and (one.x, one.y) != (other.x, other.y)


def learning(task: Task) -> Html:
    """Training loss and the selecting metric over steps: the mean over seeds, behind it each seed, faintly."""
    found: dict[str, list[charts.Line]] = defaultdict(list)
    for setting in task.settings:
        logged = [(run.get("seed"), gather.curves(run)) for run in setting.runs]
        for name in ("train/loss", "val/primary"):
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
    metric = task.settings[0].group.key.metric
    titles = {"train/loss": ("Training loss", "loss", 0.0), "val/primary": ("Validation", f"val {metric}", None)}
    figures = [
        charts.figure(title, charts.lines(found[name], "optimizer step", up, floor))
        for name, (title, up, floor) in titles.items()
        if name in found
    ]
    shown = legend([s for s in task.settings if _drawn(s, found)])
    faint = any(line.faint for series in found.values() for line in series)
    return join(charts.grid(figures), shown, note("Bold: the mean over seeds, as far as all go.") if faint else "")


def _drawn(setting: Setting, found: dict[str, list[charts.Line]]) -> bool:
    return any(line.number == setting.number for series in found.values() for line in series)


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


def environments(summaries: Sequence[Summary]) -> Html:
    """Versions, hardware and code of all runs, with the number of runs that had each."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for run in summaries:
        for key, text in _environment(Path(str(run.get("folder")))).items():
            found[key][text] += 1
    if not found:
        return note("No environment.json in these folders.")
    rows = [
        [key, "; ".join(text if len(texts) == 1 else f"{text} ({count} runs)" for text, count in texts.most_common())]
        for key, texts in found.items()
    ]
    return table(["what", "value"], rows)


def _environment(folder: Path) -> dict[str, str]:
    try:
        tree: Any = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        hardware, git, packages = tree.get("hardware") or {}, tree.get("git") or {}, tree.get("packages") or {}
    except (OSError, ValueError, AttributeError):
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


def folders(summaries: Sequence[Summary], root: Path) -> Html:
    """Every run with its folder and command."""
    rows = []
    for run in summaries:
        folder, score = Path(str(run.get("folder"))), score_of(run)
        rows.append(
            [
                str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder),
                str(run.get("task") or "-"),
                str(run.get("seed", "-")),
                "-" if score is None else f"{score:.4f}",
                "; ".join(faults(run)) or "finished",
                tag("code", _command(folder)),
            ]
        )
    return details(f"{len(rows)} runs", table(["folder", "task", "seed", "test", "status", "command"], rows, [2, 3]))


def _command(folder: Path) -> str:
    try:
        command = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["command"]
        return "transferlab " + " ".join(map(str, command))
    except (OSError, ValueError, KeyError, TypeError):
        return "-"


Section = tuple[str, Callable[[Task], Html]]
