"""Explanations as one HTML file: texts whose words are coloured by what they add to the score."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

from transferlab.analysis.page.document import POLICY
from transferlab.analysis.page.markup import Html, details, join, note, table, tag
from transferlab.ground.escapes import visible
from transferlab.use.answering import Record
from transferlab.use.explanation.explainer import Explanation

STYLE = """
body { display: block; }
main { max-width: 62rem; margin: auto; }
.text { font-size: 1.05rem; line-height: 2; overflow-wrap: anywhere; white-space: pre-wrap; }
.word { border-radius: .2rem; padding: .1rem .05rem; }
.for { background: rgb(36 110 220 / var(--a)); }
.against { background: rgb(225 105 20 / var(--a)); }
.unread { color: var(--dim); text-decoration: line-through; }
.target { outline: 2px solid var(--ink); }
"""
UNITS = {
    "classification": "the logit of the label less the mean of those of the others (for two labels the log-odds)",
    "multilabel": "the logit of the label",
    "regression": "the prediction itself",
    "tagging": "the logit of the tag less the mean of those of the others, mean over the words of the entity",
}


def page(
    run: str, kind: str, found: Sequence[tuple[str, Record, Sequence[Explanation]]], summary: Mapping[str, str]
) -> Html:
    """The whole page.

    Args:
        run: Name of the run.
        kind: Kind of its task.
        found: Name, answer and explanations of each example.
        summary: What they say together.
    """
    style = files("transferlab.analysis.page").joinpath("sheet.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"transferlab: explanations of {run}"),
        tag("style", Html(style + STYLE)),
    )
    parts = [_example(*one) for one in found]
    how = note(
        "Blue words raise the score of the label, orange ones lower it; the stronger the colour, the more. Words that "
        "are struck through were cut off before the model. The values of a text sum to its score less the score of the "
        f"text without words; the score is {UNITS[kind]}. The residue is what is missing from that sum. Faithfulness: "
        "how much sooner the probability of the label falls, and rises, where words are taken away, and put back, in "
        "the order of their attribution than in random orders; above 0 is better than chance."
    )
    rows = table(["", ""], [[name, value] for name, value in summary.items()])
    body = tag("body", tag("main", tag("h1", "Explanations of ", tag("code", visible(run))), how, rows, *parts))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))


def _example(name: str, answer: Record, explanations: Sequence[Explanation]) -> Html:
    parts = [_explanation(answer, each) for each in explanations] or [note("No entity was predicted.")]
    return tag("section", tag("h2", name), *parts)


def _explanation(answer: Record, found: Explanation) -> Html:
    prediction = answer["prediction"]
    title = found.target.label or f"{prediction:.4g}"
    own = found.attribution
    facts = f"Score {own.score:+.3f}, without words {own.empty:+.3f}; residue {100 * own.residue:.3f} %"
    facts += f" at {own.steps} steps"
    if found.faithfulness:
        facts += f"; faithfulness {found.faithfulness.score:+.3f}, better than {100 * found.faithfulness.beaten:.0f} % "
        facts += "of random orders"
    if found.agreement is not None:
        facts += f"; rank correlation with leaving words out {found.agreement:.2f}"
    if not found.target.span and found.target.label and [prediction] != [found.target.label]:
        shown = ", ".join(prediction) if isinstance(prediction, list) else str(prediction)
        facts += f"; predicted: {shown or 'none'}"
    starts = [sum(len(text.words) for text in found.texts[:at]) for at in range(len(found.texts))]
    texts = [_text(found, at, start) for at, start in enumerate(starts)]
    rows = [
        [visible(row["word"]), *("" if row[key] is None else f"{row[key]:+.4f}" for key in ("attribution", "left_out"))]
        for row in found.record()["words"]
    ]
    numbers = table(["word", "attribution", "fall without it"], rows, numeric=(1, 2))
    return join(tag("h3", visible(title)), *texts, note(f"{facts}."), details("numbers", numbers))


def _text(found: Explanation, at: int, first: int) -> Html:
    """A text with its coloured words; what stands between them is kept."""
    text, parts, behind = found.texts[at], list[Html | str](), 0
    most = max((abs(float(found.attribution.words[number])) for number in found.read), default=0.0) or 1.0
    span = range(*found.target.span) if found.target.span else ()
    for number, (start, end) in enumerate(text.places, start=first):
        parts.append(visible(text.text[behind:start]))
        value = float(found.attribution.words[number])
        class_ = "word " + ("unread" if number not in found.read else "for" if value >= 0 else "against")
        class_ += " target" if number in span else ""
        title = f"{value:+.4f}" if number in found.read else "cut off"
        strength = f"--a:{0.75 * abs(value) / most:.2f}"
        parts.append(tag("span", visible(text.text[start:end]), class_=class_, style=strength, title=title))
        behind = end
    parts.append(visible(text.text[behind:]))
    return tag("p", *parts, class_="text")
