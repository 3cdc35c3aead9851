"""The section on calibration: how far confidence can be believed, and whether a temperature mends it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from transferlab.analysis.comparison.groups import estimate
from transferlab.analysis.page import calibration, charts
from transferlab.analysis.page.answers import Confidence
from transferlab.analysis.page.calibration import Temperature
from transferlab.analysis.page.gather import Task
from transferlab.analysis.page.markup import Html, join, note, table
from transferlab.analysis.page.predicted import MOST, Found, first_ones
from transferlab.analysis.page.settings import named

HEAD = ["setting", "accuracy", "confidence", "ECE", "NLL", "temperature", "ECE scaled", "NLL scaled"]
TEXT = (
    f"ECE: expected calibration error, {calibration.BINS} equally wide bins of the largest probability (Guo et al. "
    "2017); NLL: mean negative log-likelihood, in nats. Means over seeds, ± half of the 95 % interval. Bars are the "
    "accuracy in a bin, dots grow with its share of the examples, the red stroke is the gap to the confidence, all "
    "seeds together. The temperature is the one of least NLL on the validation examples; the line is what it makes of "
    "the test. It scales nothing here where it is not trusted, since these say too little, or where it raises the "
    "NLL of the test."
)


def calibrated(task: Task, found: Found) -> Html:
    """Calibration errors before and after scaling by temperature, and reliability diagrams."""
    rows: list[list[Html | str]] = []
    figures: list[Html] = []
    for setting, seeds in found:
        judged = [t for t in seeds if t.scored]
        if not judged:
            continue
        fits = [t.temperature for t in seeds if t.temperature is not None]
        remedy = len(fits) == len(judged) and all(one.is_remedy for one in fits)
        known = [t.confidence for t in seeds if t.confidence is not None]
        rows.append([named(setting), *_numbers(known), *_scaled(fits, len(judged), remedy)])
        if len(figures) < MOST:
            read = [t.examples() for t in judged]
            scores = [one.scores for one in read if one.scores is not None]
            pooled = np.concatenate(scores), np.concatenate([one.gold for one in read if one.gold is not None])
            after = None
            if remedy:
                parts = [calibration.scaled(s, f.value) for s, f in zip(scores, fits, strict=True)]
                after = calibration.bins(np.concatenate(parts), pooled[1])
            figures.append(charts.figure(named(setting), charts.reliability(calibration.bins(*pooled), after)))
    if not rows:
        return note("No calibration: it needs test predictions with scores, which only classification has.")
    return join(
        table(HEAD, rows, numeric=(1, 2, 3, 4, 6, 7), class_="stack"),
        charts.grid(figures),
        note(f"{TEXT}{first_ones(found)}"),
    )


def _text(values: Sequence[float]) -> str:
    found = estimate(values)
    assert found is not None
    return f"{found.mean:.4f}" + (f" ± {found.high - found.mean:.4f}" if found.high is not None else "")


def _numbers(known: Sequence[Confidence]) -> list[str]:
    accuracy, sure = np.mean([one.accuracy for one in known]), np.mean([one.sure for one in known])
    return [f"{accuracy:.4f}", f"{sure:.4f}", _text([one.ece for one in known]), _text([one.nll for one in known])]


def _scaled(fits: Sequence[Temperature], runs: int, remedy: bool) -> list[str]:
    """Temperature, and what it makes of the test; of one that is not trusted the reason and no numbers."""
    if len(fits) < runs:
        return [f"no validation predictions of {runs - len(fits)} of {runs} runs", "", ""]
    if remedy:
        return [_text([f.value for f in fits]), _text([f.ece[1] for f in fits]), _text([f.nll[1] for f in fits])]
    why = [_why(one) for one in fits if not one.is_remedy]
    told = "; ".join(text if count == 1 else f"{text} ({count} runs)" for text, count in Counter(why).items())
    return [told if len(fits) == 1 else f"in {len(why)} of {runs} runs {told}", "", ""]


def _why(one: Temperature) -> str:
    if one.doubt:
        return f"not trusted: {one.doubt}"
    return f"no remedy: {one.value:.2f} raises the NLL of the test from {one.nll[0]:.4f} to {one.nll[1]:.4f}"
