"""Answers without learning: spans of words beside those that a question shares with its context, and no answer."""

import re
from collections import Counter
from typing import Any

import numpy as np

from transferlab.baselines.kinds import Read
from transferlab.baselines.methods import Baseline
from transferlab.baselines.rows import Part
from transferlab.ground.words import PATTERN
from transferlab.tasks.spans import BEST, Span, Spans

WORDS = 6
"""Words of an answer, at most."""
AROUND = 8
"""Words on each side of a possible answer that are compared with the question."""


class AlwaysNone(Baseline):
    """Says of each question that it has no answer; right wherever that is so."""

    kinds = ("qa",)
    strategy = "no_answer"
    fits_thresholds = False

    def fit(self, train: Part, validation: Part) -> None:
        """Learns nothing."""

    def predict(self, part: Part) -> Any:
        """No span at all."""
        return [Read(Spans([], 0.0), context) for context in part.columns[1]]


class WordOverlap(Baseline):
    """The sliding window of Richardson et al. 2013 (https://aclanthology.org/D13-1020), over spans of a few words.

    A span scores by the words around it that the question has, each by its inverse frequency in the context,
    ``log(1 + 1 / count)``, less those of the question inside it: what was asked is no answer. The margin of no answer
    is minus the score of the best span, and its threshold is fitted on the validation set.
    """

    kinds = ("qa",)
    strategy = "word_overlap"

    def fit(self, train: Part, validation: Part) -> None:
        """Learns nothing."""

    def predict(self, part: Part) -> Any:
        """The best spans of each question."""
        return [Read(_spans(*pair), pair[1]) for pair in zip(*part.columns, strict=True)]


def _spans(question: str, context: str) -> Spans:
    found = list(re.finditer(PATTERN, context))
    words = [match.group().lower() for match in found]
    asked, counts = set(re.findall(PATTERN, question.lower())), Counter(words)
    weights = np.array([np.log1p(1 / counts[word]) if word in asked and word.isalnum() else 0.0 for word in words])
    sums = np.concatenate([[0.0], weights.cumsum()])
    spans = []
    for start in range(len(words)):
        for end in range(start + 1, min(start + WORDS, len(words)) + 1):
            if words[start].isalnum() and words[end - 1].isalnum():
                near = sums[min(end + AROUND, len(words))] - sums[max(start - AROUND, 0)]
                inside = sums[end] - sums[start]
                # among equals the shorter one, by a hair
                score = float(near - 2 * inside - 1e-3 * (end - start))
                spans.append(Span(found[start].start(), found[end - 1].end(), score))
    spans.sort(key=lambda span: (-span.score, span.start, span.end))
    return Spans(spans[:BEST], 0.0)
