"""Sections of questions: parts of the test, scores over the threshold of no answer, answers in their paragraph."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from transferlab.analysis.comparison.groups import value
from transferlab.analysis.page import charts
from transferlab.analysis.page.answers import Tested
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, join, note, table, tag
from transferlab.analysis.page.overview import legend
from transferlab.analysis.page.settings import mean_of, named
from transferlab.record.thresholds import NO_ANSWER

TITLE = "Parts of the test"
AROUND = 160
"""Characters of a paragraph that are shown on both sides of a mark."""
GAP = " … "
KEY = " The gold answers have a ground; the answer of a setting is underlined, and its number stands behind it."
PARTS = ("exact_match", "f1")
Span = tuple[int, int]


def parts(task: Task) -> Html:
    """Exact match and F1 of questions with and without an answer, and of the best of the n best answers."""
    known = [(s, (run.get("test") or {}).get("parts") or {}) for s in task.settings for run in s.runs]
    names = list(dict.fromkeys(name for _, found in known for name in found))
    if not names:
        return note("No parts of the test: no run of it is finished.")
    rows = []
    for setting in task.settings:
        found = [mean_of(setting, "test", "parts", name, metric) for name in names for metric in PARTS]
        if any(value is not None for value in found):
            cells = [tag("td", "-" if value is None else f"{value:.3f}", class_="number") for value in found]
            rows.append([named(setting), *cells])
    head = ["setting", *(f"{name}, {metric.replace('_', ' ')}" for name in names for metric in PARTS)]
    text = "Mean over seeds. Best of: the best of so many answers that are kept of a question, which has one."
    return join(table(head, rows, numeric=range(1, len(head))), note(text))


def thresholds(found: Sequence[tuple[Setting, Sequence[Tested]]], most: int) -> Html:
    """F1 on the validation set over the margin above which a question has no answer, and which margin was fitted.

    Args:
        found: What the test predictions of each setting say.
        most: Settings that are drawn, at most.
    """
    series, rows, drawn = [], [], []
    for setting, seeds in found[:most]:
        curve, fitted = seeds[0].curve, value(setting.runs[0], "thresholds", NO_ANSWER, "threshold")
        if not curve or fitted is None:
            continue
        drawn.append(setting)
        name, low = f"{setting.number} {setting.name}", min(score for _, score in curve)
        # the largest drawn threshold below it has the same answers
        at = next((score for edge, score in reversed(curve) if edge <= fitted), low)
        series.append(charts.Line(curve, setting.number, name))
        series.append(charts.Line([(fitted, low), (fitted, at)], setting.number, f"{name}: fitted, {fitted:.3f}"))
        rows.append([named(setting), f"{fitted:.3f}", f"{at:.3f}", f"{curve[-1][1]:.3f}"])
    if not series:
        return note("No threshold: no validation question is without an answer, so each question gets one.")
    drawing = charts.lines(series, "threshold: margin of no answer", "validation F1", start=None)
    text = (
        "A question has no answer where the margin of no answer over the best span is above the threshold: at the "
        "left end few questions have one, at the right end each. Upright: the threshold that was fitted on these "
        "questions, and that the test is answered with; of several seeds the first."
    )
    numbers = table(["setting", "fitted", "F1 there", "F1 if each had an answer"], rows, (1, 2, 3))
    return join(charts.grid([charts.figure("Threshold of no answer", drawing)]), legend(drawn), numbers, note(text))


def marked(lines: Mapping[int, Mapping[str, Any]]) -> Html:
    """A question, and its paragraph with the gold answers and those of some settings.

    Args:
        lines: By the number of the setting what it says of the question: ``text`` (question and context), ``start`` and
            ``end``, and ``golds``, the places of the gold answers.
    """
    one = next(iter(lines.values()))
    question, context = (str(text) for text in one["text"])
    golds = [(a, b) for a, b in one.get("golds") or []]
    said = {n: (line["start"], line["end"]) for n, line in lines.items() if isinstance(line.get("start"), int)}
    return join(tag("div", tag("strong", question)), tag("div", paragraph(context, golds, said)))


def paragraph(context: str, golds: Sequence[Span], said: Mapping[int, Span]) -> Html:
    """The parts of a context around its answers: the gold ones on a ground, those of settings underlined.

    Args:
        context: The text.
        golds: First character of each gold answer, and the one behind its last.
        said: The same of the answer of a setting, by its number.
    """
    spans = [span for span in (*golds, *said.values()) if 0 <= span[0] <= span[1] <= len(context)] or [(0, 0)]
    near = [(max(a - AROUND, 0), min(b + AROUND, len(context))) for a, b in spans]
    edges = sorted({0, len(context), *(end for pair in (*spans, *near) for end in pair)})
    shown: list[Html | str] = []
    for start, end in pairwise(edges):
        if any(a <= start and end <= b for a, b in near):
            shown.append(_piece(context[start:end], (start, end), golds, said))
        elif shown[-1:] != [GAP]:
            shown.append(GAP)
    return join(*shown)


def _piece(text: str, place: Span, golds: Sequence[Span], said: Mapping[int, Span]) -> Html:
    """A part of a context within which no answer begins or ends; the number of a setting stands behind its answer."""
    gold = any(a <= place[0] and place[1] <= b for a, b in golds)
    inside = [number for number, (a, b) in said.items() if a <= place[0] and place[1] <= b]
    looks = " ".join([*(["gold"] if gold else []), *(["said"] if inside else [])])
    ends = [number for number in inside if said[number][1] == place[1]]
    discs = [tag("span", str(number), class_=f"mark {charts.colour(number)}") for number in ends]
    return join(
        tag("mark", text, class_=looks) if looks else text, *(join("\N{NO-BREAK SPACE}", disc) for disc in discs)
    )
