"""What the test predictions of a run say, worked out once and kept in its folder."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from transferlab.analysis.comparison import kept
from transferlab.analysis.comparison.groups import Summary
from transferlab.analysis.page import calibration
from transferlab.analysis.page.calibration import Array, Temperature
from transferlab.analysis.page.entities import Errors, errors
from transferlab.analysis.page.lengths import Share
from transferlab.tasks import spans, squad
from transferlab.tasks.schemes import Scheme, of_summary

Line = dict[str, Any]
VERSION = 3
"""Of what is kept; to be raised when it is worked out otherwise."""
ANSWERS = ("label", "prediction")
FILES = ("predictions/test.jsonl", "predictions/validation.jsonl")


class Confidence(NamedTuple):
    """How sure a run is of its test predictions: accuracy, mean confidence, ECE, and NLL in nats."""

    accuracy: float
    sure: float
    ece: float
    nll: float


class Examples(NamedTuple):
    """What a run made of each test example.

    Attributes:
        ids: Row numbers ``[examples]``.
        right: Whether the prediction is right ``[examples]``, for tagging in every word, of several labels in all, of
            questions by exact match; empty for regression.
        lengths: Tokens ``[examples]``, for tagging without them words; empty where not known.
        scores: Probabilities ``[examples, classes]``, None without.
        gold: Class numbers ``[examples]`` of those.
        selection: Scores and class numbers on the validation set, None without.
    """

    ids: Array
    right: Array
    lengths: Array
    scores: Array | None
    gold: Array | None
    selection: tuple[Array, Array] | None


class Tested(NamedTuple):
    """What the test predictions of a run say.

    Attributes:
        run: The run.
        unit: ``tokens`` or ``words``.
        measured: Whether it is known how long the examples are, and which predictions are right.
        scored: Whether there are probabilities.
        confusion: (gold, predicted) to examples, for tagging words without the B and I of the tags.
        confidence: What the scores say; None without.
        temperature: What scaling by the best one on the validation set does; None without.
        errors: Of entities, None for other tasks.
        curve: Of questions, F1 on the validation set over thresholds of no answer; empty where each has an answer.
    """

    run: Summary
    unit: str
    measured: bool
    scored: bool
    confusion: Counter[tuple[str, str]]
    confidence: Confidence | None
    temperature: Temperature | None
    errors: Errors | None
    curve: list[tuple[float, float]]

    def examples(self) -> Examples:
        """Each test example: forty times as much to read, of which a page shows that of few runs."""
        return examples(self.run)


def tested(run: Summary) -> Tested | None:
    """What the predictions of a run say; None where there are none with gold labels."""
    payload = kept.kept(str(run.get("folder")), "answers", FILES, _key(run), lambda sources: _facts(sources, run))
    facts = json.loads(payload)
    if facts is None:
        return None
    fit, wrong = facts["temperature"], facts["errors"]
    return Tested(
        run,
        unit=facts["unit"],
        measured=facts["measured"],
        scored=facts["scored"],
        confusion=Counter({(gold, guess): count for gold, guess, count in facts["confusion"]}),
        confidence=Confidence(*facts["confidence"]) if facts["confidence"] else None,
        temperature=Temperature(fit[0], tuple(fit[1]), tuple(fit[2]), fit[3]) if fit else None,
        errors=Errors(wrong[0], *(share and Share(*share) for share in wrong[1:])) if wrong else None,
        curve=[(threshold, score) for threshold, score in facts["curve"]],
    )


def examples(run: Summary) -> Examples:
    """What a run made of each test example; none where there are no predictions with gold labels."""
    payload = kept.kept(
        str(run.get("folder")),
        "examples",
        FILES,
        _key(run),
        lambda sources: kept.pack(None, **_arrays(_told(sources[0]), sources[1], run)),
    )
    arrays = kept.unpack(payload)[1]
    held = arrays.pop("held"), arrays.pop("held_gold")
    return Examples(**arrays, selection=None if held[0] is None or held[1] is None else held)


def _key(run: Summary) -> str:
    return json.dumps([VERSION, run.get("labels"), run.get("kind"), run.get("scheme")])


def _told(source: bytes | None) -> list[Line]:
    return [line for line in _parse(source) if {"id", "prediction", "label"} <= line.keys()]


def _is_tagging(found: list[Line], run: Summary) -> bool:
    return isinstance(found[0]["label"], list) and run.get("kind") not in {"multilabel", "qa", "text"}


def _unit(found: list[Line], tagging: bool) -> str:
    return "tokens" if all("tokens" in line for line in found) else "words" if tagging else ""


def _facts(sources: kept.Sources, run: Summary) -> bytes:
    found = _told(sources[0])
    if not found:
        return b"null"
    arrays = _arrays(found, sources[1], run)
    asked, written, spoken = (run.get("kind") == kind for kind in ("qa", "text", "slots"))
    tagging, scheme = _is_tagging(found, run), of_summary(run)
    regression = isinstance(found[0]["label"], int | float)
    # intents are confused as classes are, slots go wrong as entities do
    classes = [{key: line[key]["intent"] for key in ANSWERS} for line in found] if spoken else found
    slots = [{**line, **{key: line[key]["slots"] for key in ANSWERS}} for line in found] if spoken else []
    entities = slots if spoken else found if tagging and scheme.name != "tags" else None
    counted = not (regression or run.get("kind") == "multilabel" or asked or written)
    confusion = Counter(_pairs(classes, tagging, scheme)) if counted else Counter()
    confidence, fit = _sure(arrays)
    facts = {
        "unit": _unit(found, tagging),
        "measured": bool(len(arrays["lengths"]) and len(arrays["right"])),
        "scored": confidence is not None,
        "confusion": [[*pair, count] for pair, count in confusion.items()],
        "confidence": confidence,
        "temperature": fit,
        "errors": None if entities is None else errors(entities, scheme),
        "curve": curve_of(_parse(sources[1])) if asked else [],
    }
    return json.dumps(facts).encode()


def _sure(arrays: dict[str, Any]) -> tuple[Confidence | None, Temperature | None]:
    """What scores say, and the temperature by those of the validation set."""
    scores, gold, held, held_gold = (arrays[name] for name in ("scores", "gold", "held", "held_gold"))
    if scores is None or gold is None:
        return None, None
    sure, hits = float(scores.max(1).mean()), float((scores.argmax(1) == gold).mean())
    confidence = Confidence(hits, sure, calibration.ece(scores, gold), calibration.nll(scores, gold))
    if held is None or held_gold is None:
        return confidence, None
    return confidence, calibration.temperature((held, held_gold), (scores, gold))


def _arrays(found: list[Line], validation: bytes | None, run: Summary) -> dict[str, Any]:
    """The fields of `Examples`, the selection as ``held`` and ``held_gold``."""
    labels = [str(label) for label in run.get("labels") or []]
    asked, written = (run.get("kind") == kind for kind in ("qa", "text"))
    unit = _unit(found, bool(found) and _is_tagging(found, run))
    lengths = [line["tokens"] if unit == "tokens" else len(line["label"]) for line in found] if unit else []
    right = [_right(line, asked, written) for line in found if not isinstance(found[0]["label"], int | float)]
    scores, gold = _scores(found, labels)
    held, held_gold = _scores(_parse(validation), labels) if scores is not None else (None, None)
    return {
        "ids": np.array([int(line["id"]) for line in found], dtype=np.int64),
        "right": np.array(right, dtype=bool),
        "lengths": np.array(lengths, dtype=np.int64),
        "scores": scores,
        "gold": gold,
        "held": held,
        "held_gold": held_gold,
    }


def _right(line: Line, asked: bool, written: bool) -> bool:
    if written:
        return line["prediction"].strip() in [one.strip() for one in line["label"]]
    if asked:
        return squad.scores(line["prediction"], line["label"])[0] == 1.0
    return bool(line["prediction"] == line["label"])


def curve_of(lines: list[Line]) -> list[tuple[float, float]]:
    """Mean F1 of questions over the threshold of no answer; empty where each of them has an answer.

    Args:
        lines: Records of the validation set.
    """
    known = [line for line in lines if {"label", "margin", "n_best"} <= line.keys()]
    if all(line["label"] for line in known):
        return []
    best = [line["n_best"][0]["text"] if line["n_best"] else "" for line in known]
    scores = np.array([squad.scores(text, line["label"])[1] for text, line in zip(best, known, strict=True)])
    none = np.array([squad.scores("", line["label"])[1] for line in known])
    margins = np.array([np.inf if line["margin"] is None else line["margin"] for line in known], dtype=np.float64)
    return spans.curve(margins, scores, none)


def lines(folder: Path, name: str) -> list[Line]:
    """A file of predictions; empty where there is none that can be read."""
    try:
        return _parse((folder / "predictions" / f"{name}.jsonl").read_bytes())
    except OSError:
        return []


def _parse(source: bytes | None) -> list[Line]:
    if source is None:
        return []
    try:
        rows = source.decode("utf-8").removesuffix("\n").split("\n")
        found = json.loads(f"[{','.join(rows)}]")
    except (ValueError, RecursionError):
        return []
    return found if len(found) == len(rows) and all(isinstance(line, dict) for line in found) else []


def _pairs(found: list[Line], tagging: bool, scheme: Scheme) -> Iterator[tuple[str, str]]:
    for line in found:
        if not tagging:
            yield line["label"], line["prediction"]
            continue
        for gold, guess in zip(line["label"], line["prediction"], strict=False):
            yield scheme.kind(gold), scheme.kind(guess)


def _scores(found: list[Line], labels: list[str]) -> tuple[Array | None, Array | None]:
    number = {label: position for position, label in enumerate(labels)}
    rows = (
        [
            (line["scores"], number[line["label"]])
            for line in found
            if line.get("label") in number
            and len(line.get("scores") or []) == len(labels)
            and None not in line["scores"]
        ]
        if labels and found and isinstance(found[0].get("label"), str)
        else []
    )
    if not rows:
        return None, None
    return np.array([scores for scores, _ in rows], dtype=np.float64), np.array([gold for _, gold in rows])
