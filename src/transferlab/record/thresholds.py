"""From which probability a label is given: what a summary says of it, and words for people."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from transferlab.record.predictions import Record
from transferlab.tasks.kinds.multilabel import FEWEST

NO_ANSWER = "no answer"
"""What the threshold of questions is called."""


def facts(labels: Sequence[str], values: Sequence[float], lines: Sequence[Record]) -> dict[str, dict[str, float]]:
    """The threshold of each label, and how many validation examples have it.

    Args:
        labels: Their names.
        values: Their thresholds.
        lines: Records of the validation set, with gold labels.
    """
    counts = Counter(name for line in lines for name in line["label"])
    return {
        name: {"threshold": round(value, 6), "positives": counts[name]}
        for name, value in zip(labels, values, strict=True)
    }


def of_questions(values: Sequence[float], lines: Sequence[Record]) -> dict[str, dict[str, float]]:
    """The margin above which a question has no answer, and how many validation questions have none.

    Args:
        values: The threshold; left out where it is infinite, so that each question gets an answer.
        lines: Records of the validation set, with gold answers.
    """
    known = {"threshold": round(values[0], 6)} if math.isfinite(values[0]) else {}
    return {NO_ANSWER: known | {"positives": sum(not line["label"] for line in lines)}}


def in_words(known: dict[str, Any]) -> str:
    """Thresholds for people, those that were not fitted named with the reason."""
    if one := known.get(NO_ANSWER):
        if one.get("threshold") is None:
            return "each question gets an answer, since each validation question has one"
        return f"no answer where its margin is above {one['threshold']:.3f} ({one['positives']} without in validation)"
    fitted = [f"{name} {row['threshold']:.2f}" for name, row in known.items() if row["positives"] >= FEWEST]
    few = [f"{name} ({int(row['positives'])})" for name, row in known.items() if row["positives"] < FEWEST]
    parts = [", ".join(fitted)] if fitted else []
    if few:
        parts.append(f"0.50, since fewer than {FEWEST} validation examples have it: {', '.join(few)}")
    return "; ".join(parts)
