"""The whole page: table of contents, a section for each task, environment, runs."""

import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from transferlab.analysis.comparison.groups import Summary
from transferlab.analysis.page import gather, overview, predicted
from transferlab.analysis.page.gather import Task
from transferlab.analysis.page.markup import Html, join, note, table, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded and no script runs, whatever a run's text says."""


def page(summaries: Sequence[Summary], root: Path) -> Html:
    """The report of some runs.

    Args:
        summaries: Contents of ``summary.json``, each with its ``folder``.
        root: The folder that they were found under.
    """
    found = gather.tasks(summaries)
    parts = [_task(task) for task in found]
    runs = tag("section", tag("h2", "Environment"), overview.environments(summaries), id="environment")
    listed = tag("section", tag("h2", "Runs"), overview.folders(summaries, root), id="runs")
    style = files("transferlab.analysis.page").joinpath("sheet.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"transferlab: {root}"),
        tag("style", Html(style)),
    )
    body = tag("body", _contents(found), tag("main", _top(found, summaries, root), *parts, runs, listed))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))


def sections(task: Task) -> list[tuple[str, str, Callable[[], Html]]]:
    """Id, title and content of the sections of a task; predictions are read once."""
    read = predicted.read(task)
    tagging = task.known("kind") == "tagging"
    return [
        ("settings", "Settings", lambda: overview.results(task)),
        ("quality", "Quality and seeds", lambda: overview.spread(task)),
        ("cost", "Quality against cost", lambda: overview.pareto(task)),
        ("curves", "Learning curves", lambda: overview.learning(task)),
        ("classes", "Classes", lambda: join(overview.classes(task), predicted.confusion(task, read))),
        *(
            [("entities", "Entities", lambda: predicted.entity_errors(task, read))]
            if tagging
            else [("calibration", "Calibration", lambda: predicted.calibrated(task, read))]
        ),
        ("lengths", "By length", lambda: predicted.long_ones(task, read)),
        ("layers", "Layer mix", lambda: predicted.layer_mix(task, read)),
        ("hardest", "Hardest examples", lambda: predicted.hardest(task, read)),
        ("configuration", "Configuration", lambda: overview.configuration(task)),
    ]


TITLES = {
    "settings": "Settings",
    "cost": "Quality against cost",
    "curves": "Learning curves",
    "classes": "Classes",
    "hardest": "Hardest examples",
    "configuration": "Configuration",
}
"""Sections that the table of contents names."""


def _task(task: Task) -> Html:
    parts = [
        tag("section", tag("h3", title), content(), id=f"{_anchor(task)}-{name}")
        for name, title, content in sections(task)
    ]
    return tag("section", tag("h2", task.name), *parts, id=_anchor(task))


def _anchor(task: Task) -> str:
    return "task-" + "".join(letter if letter.isalnum() else "-" for letter in task.name)


def _contents(found: Sequence[Task]) -> Html:
    items = []
    for task in found:
        below = [tag("li", tag("a", title, href=f"#{_anchor(task)}-{name}")) for name, title in TITLES.items()]
        items.append(tag("li", tag("a", tag("strong", task.name), href=f"#{_anchor(task)}"), tag("ol", *below)))
    for name in ("environment", "runs"):
        items.append(tag("li", tag("a", name.capitalize(), href=f"#{name}")))
    whole = tag("details", tag("summary", "Contents"), tag("ol", *items), open="")
    return tag("nav", whole, aria_label="Contents")


def _top(found: Sequence[Task], summaries: Sequence[Summary], root: Path) -> Html:
    rows = []
    for task in found:
        best = task.settings[0]
        plain = next((s for s in task.settings if s.group.key.encoder == "-"), None)
        rows.append(
            [
                tag("a", task.name, href=f"#{_anchor(task)}"),
                best.group.key.metric,
                overview.named(best),
                overview.shown(best.group.score),
                join(plain.name, " ", overview.shown(plain.group.score)) if plain else "-",
                str(len(task.settings)),
                str(sum(len(s.group.runs) for s in task.settings)),
            ]
        )
    head = ["task", "metric", "best setting", "test", "best baseline", "settings", "runs"]
    when = time.strftime("%Y-%m-%d %H:%M")
    return join(
        tag("h1", "Runs under ", tag("code", str(root))),
        note(
            f"{len(summaries)} runs, {len(found)} tasks; written {when}. Numbers on coloured discs name the settings."
        ),
        table(head, rows, numeric=(3, 5, 6)),
    )
