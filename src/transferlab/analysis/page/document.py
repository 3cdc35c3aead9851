"""The whole page: table of contents, a section for each task, environment, runs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from transferlab.analysis.comparison import software
from transferlab.analysis.comparison.groups import Summary
from transferlab.analysis.page import confidence, gather, overview, predicted, questions, robust, settings, written
from transferlab.analysis.page.gather import Task
from transferlab.analysis.page.markup import TIME, Html, join, note, table, tag
from transferlab.analysis.page.verdict import RULE, verdict

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded and no script runs, whatever a run's text says."""


def page(summaries: Sequence[Summary], root: Path, hidden: Sequence[str] = (), when: str = "") -> Html:
    """The report of some runs, which begins with what they say.

    Args:
        summaries: Contents of ``summary.json``, each with its ``folder``.
        root: The folder that they were found under.
        hidden: Sentences on runs that were left out.
        when: The time that it is written at; empty: now.
    """
    found = gather.tasks(summaries)
    # a long page shows what was found, and the rest on request
    short = len(found) > 1 or any(len(task.settings) > LONG for task in found)
    parts = [_task(task, short) for task in found]
    started = [software.environment_of(str(run.get("folder"))) for run in summaries]
    runs = tag("section", tag("h2", "Environment"), overview.environments(started), id="environment")
    listed = tag("section", tag("h2", "Runs"), overview.folders(summaries, started, root), id="runs")
    style = Path(__file__).with_name("sheet.css").read_text(encoding="utf-8")
    hiding = "".join(
        f".task:has(.t{n}:not(:checked)) svg .s{n}{{display:none}}"
        for n in range(1, max((len(task.settings) for task in found), default=0) + 1)
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"transferlab: {root}"),
        tag("style", Html(style + hiding)),
    )
    top = _top(found, summaries, root, hidden, when or time.strftime(TIME))
    body = tag("body", _contents(found), tag("main", top, *parts, runs, listed))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))


def sections(task: Task) -> list[tuple[str, str, Callable[[], Html]]]:
    """Id, title and content of the sections of a task; predictions are read once."""
    read = predicted.read(task)
    kind = task.known("kind")
    entities = ("entities", "Entities", lambda: predicted.entity_errors(task, read))
    own = {
        "tagging": entities,
        "slots": entities,
        "multilabel": ("thresholds", "Thresholds", lambda: overview.thresholds(task)),
        "text": ("outputs", "Outputs", lambda: written.outputs(task)),
        "qa": ("thresholds", "Threshold of no answer", lambda: questions.thresholds(read, predicted.MOST)),
    }
    usual = ("calibration", "Calibration", lambda: confidence.calibrated(task, read))
    own_parts = {
        "qa": ("classes", questions.TITLE, lambda: questions.parts(task)),
        "text": ("classes", written.TITLE, lambda: written.scores(task)),
    }
    classes = ("classes", "Classes", lambda: join(overview.classes(task), predicted.confusion(task, read)))
    return [
        ("settings", "Settings", lambda: settings.results(task)),
        ("quality", "Quality and seeds", lambda: overview.spread(task)),
        ("cost", "Quality against cost", lambda: overview.pareto(task)),
        ("curves", "Learning curves", lambda: overview.learning(task)),
        own_parts.get(kind, classes),
        *([] if kind == "tagging" and task.scheme.name == "tags" else [own.get(kind, usual)]),
        ("lengths", "By length", lambda: predicted.long_ones(task, read)),
        ("layers", "Layer mix", lambda: predicted.layer_mix(task, read)),
        *([("robustness", "Changed texts", lambda: robust.changed_texts(task))] if robust.is_measured(task) else []),
        *([("elsewhere", "Other test sets", lambda: robust.other_files(task))] if robust.is_elsewhere(task) else []),
        ("hardest", "Hardest examples", lambda: predicted.hardest(task, read)),
        ("configuration", "Configuration", lambda: overview.configuration(task)),
    ]


TITLES = {
    "settings": "Settings",
    "quality": "Quality and seeds",
    "cost": "Quality against cost",
    "curves": "Learning curves",
    "classes": "Classes",
    "hardest": "Hardest examples",
    "configuration": "Configuration",
}
"""Sections that the table of contents names."""
OPEN = ("settings", "quality")
"""Sections that are open on a long page too."""
LONG = 8
"""Settings of a task with more than which a page is long."""


def _task(task: Task, short: bool) -> Html:
    parts = []
    for name, title, content in sections(task):
        # the anchor is inside, so that a link to it opens the section
        inside = tag("div", content(), id=f"{_anchor(task)}-{name}")
        is_open = "" if name in OPEN or not short else None
        parts.append(tag("details", tag("summary", tag("h3", title)), inside, class_="part", open=is_open))
    whole = (tag("h2", task.name), _picker(task), *parts)
    return tag("section", *whole, id=_anchor(task), class_="task")


def _picker(task: Task) -> Html | None:
    """Boxes that hide a setting in all pictures of a task; the style sheet does it."""
    if len(task.settings) < 2:
        return None
    boxes = [
        tag("label", tag("input", type="checkbox", class_=f"t{s.number}", checked=""), " ", settings.named(s))
        for s in task.settings
    ]
    return tag("details", tag("summary", "Hide settings in the pictures"), tag("p", *boxes, class_="legend"))


def _anchor(task: Task) -> str:
    return "task-" + "".join(letter if letter.isalnum() else "-" for letter in task.name)


def _contents(found: Sequence[Task]) -> Html:
    items = []
    for task in found:
        called = {"qa": questions.TITLE, "text": written.TITLE}.get(str(task.known("kind")), TITLES["classes"])
        titles = TITLES | {"classes": called}
        below = [tag("li", tag("a", title, href=f"#{_anchor(task)}-{name}")) for name, title in titles.items()]
        items.append(tag("li", tag("a", tag("strong", task.name), href=f"#{_anchor(task)}"), tag("ol", *below)))
    for name in ("environment", "runs"):
        items.append(tag("li", tag("a", name.capitalize(), href=f"#{name}")))
    whole = tag("details", tag("summary", "Contents"), tag("ol", *items), open="")
    return tag("nav", whole, aria_label="Contents")


def _top(found: Sequence[Task], summaries: Sequence[Summary], root: Path, hidden: Sequence[str], when: str) -> Html:
    rows = []
    for task in found:
        best = next((s for s in task.settings if s.row.best), task.settings[0])
        plain = next((s for s in task.settings if s.group.key.encoder == "-"), None)
        rows.append(
            [
                tag("a", task.name, href=f"#{_anchor(task)}"),
                task.metric,
                settings.named(best) if best.row.best else "-",
                settings.shown(best.group.score),
                join(plain.name, " ", settings.shown(plain.group.score)) if plain else "-",
                str(len(task.settings)),
                str(sum(len(s.group.runs) for s in task.settings)),
            ]
        )
    head = ["task", "metric", "best setting", "test", "best baseline", "settings", "runs"]
    told = " ".join(text[:1].upper() + text[1:] for text in hidden)
    return join(
        tag("h1", "Runs under ", tag("code", str(root))),
        note(
            f"{len(summaries)} runs, {len(found)} tasks; written {when}. Numbers on coloured discs name the settings "
            f"of a task. {told}"
        ),
        tag("h2", "Verdict", id="verdict"),
        [verdict(task, _anchor(task)) for task in found],
        note(RULE),
        table(head, rows, numeric=(3, 5, 6), class_="stack"),
    )
