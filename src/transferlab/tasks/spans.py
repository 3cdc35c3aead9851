"""From start and end logits to answers: the best spans over all windows of a context; imports no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from transferlab.tasks.encoded import EncodedSplit

Array = np.ndarray[Any, Any]
LONGEST = 30
"""Tokens of an answer, at most."""
BEST = 20
"""Answers that are kept of each question."""


class Span(NamedTuple):
    """A possible answer: its first character, the one behind its last, and the sum of its two logits."""

    start: int
    end: int
    score: float


class Spans(NamedTuple):
    """What is known of a question.

    Attributes:
        best: The best answers, the best first; empty where no token of the context was read.
        null: The least logit of no answer over all windows.
    """

    best: list[Span]
    null: float

    @property
    def margin(self) -> float:
        """By how much no answer is better than the best one; above the threshold there is no answer."""
        return self.null - self.best[0].score if self.best else float("inf")


def best_spans(
    logits: Array, places: Array, windows: Array, counts: Sequence[int], longest: int = LONGEST, best: int = BEST
) -> list[Spans]:
    """The best answers of some questions.

    Of all spans of at most `longest` tokens of one window those with the largest ``start + end`` are kept. They begin
    with one of as many tokens as there are answers to keep: those whose own best span is best. No answer has the least
    ``start + end`` of its token over all windows, as in the script of SQuAD 2.0's baseline.

    Args:
        logits: Of the tokens of all questions, one question after the other, ``[tokens, 2]``: start and end.
        places: Where these stand in their context, ``[tokens, 2]``; below 0 for the token of no answer.
        windows: Which window each is in, ``[tokens]``; those of different questions need no different numbers.
        counts: Tokens of each question.
        longest: Tokens of an answer, at most.
        best: Answers to keep.
    """
    logits = np.asarray(logits, dtype=np.float64)
    ends = np.cumsum(counts)
    question = np.repeat(np.arange(len(counts)), counts)
    real = places[:, 0] >= 0
    # beyond the end there is nothing: a window, a question, and no answer of its own
    far = longest - 1
    unit = np.pad(question * (int(windows.max(initial=0)) + 1) + windows, (0, far), constant_values=-1)
    there = np.pad(real, (0, far))
    end_logits = np.pad(logits[:, 1], (0, far), constant_values=-np.inf)
    stops = np.pad(places[:, 1], (0, far))
    starts = np.where(real, logits[:, 0], -np.inf)

    def scores(rows: Array, more: Array | int) -> Array:
        """Of the spans from some tokens to the ones so many behind them."""
        last = rows + more
        valid = there[last] & (unit[last] == unit[rows]) & (stops[last] > places[rows, 0])
        return np.where(valid, starts[rows] + end_logits[last], -np.inf)

    # the best end behind each token; slices, since this is done for every token
    count, lengths, tops = len(real), np.arange(longest), np.full(len(real), -np.inf)
    for more in range(longest):
        there_too = there[more : more + count] & (unit[more : more + count] == unit[:count])
        there_too &= stops[more : more + count] > places[:, 0]
        np.maximum(tops, np.where(there_too, end_logits[more : more + count], -np.inf), out=tops)
    tops += starts
    found = []
    for start, end in zip(ends - counts, ends, strict=True):
        mine = tops[start:end]
        rows = start + (np.argpartition(-mine, best)[:best] if len(mine) > best else np.arange(len(mine)))
        nulls = logits[start:end][~real[start:end]].sum(1)
        table = scores(rows[:, None], lengths)
        found.append(Spans(_best(table, places, rows, best), float(nulls.min()) if len(nulls) else -np.inf))
    return found


def _best(table: Array, places: Array, rows: Array, best: int) -> list[Span]:
    """The best different spans of some first tokens; a text that stands in two windows counts once."""
    order = np.argsort(-table, axis=None, kind="stable")
    found: dict[tuple[int, int], Span] = {}
    for at in order:
        row, more = divmod(int(at), table.shape[1])
        score = float(table[row, more])
        if score == -np.inf or len(found) == best:
            break
        key = (int(places[rows[row], 0]), int(places[rows[row] + more, 1]))
        found.setdefault(key, Span(*key, score))
    return list(found.values())


def read_spans(split: "EncodedSplit", rows: Sequence[int], logits: Array, longest: int, best: int) -> list[Spans]:
    """The best answers of some questions, from the logits of whole windows.

    Args:
        split: The questions.
        rows: Their numbers.
        logits: Of every token of their windows, padded, ``[windows, length, 2]``.
        longest: Tokens of an answer, at most.
        best: Answers to keep.
    """
    assert split.words is not None
    assert split.windows is not None
    assert split.spots is not None
    words, spots, windows, counts, begin = [], [], [], [], 0
    for row in rows:
        lengths, own = split.windows.row(row), split.words.row(row)
        window = np.searchsorted(np.cumsum(lengths), own, side="right")
        words.append(logits[begin + window, own - (np.cumsum(lengths) - lengths)[window]])
        spots.append(split.spots.row(row).reshape(-1, 2))
        windows.append(window)
        counts.append(len(own))
        begin += len(lengths)
    flat, places, numbers = (np.concatenate(parts) for parts in (words, spots, windows))
    return best_spans(flat, places, numbers, counts, longest, best)


def merged(parts: Sequence[Spans], best: int = BEST) -> Spans:
    """What is known of a question of which some windows were read at a time."""
    found: dict[tuple[int, int], Span] = {}
    for span in sorted((span for part in parts for span in part.best), key=lambda span: -span.score):
        found.setdefault((span.start, span.end), span)
    return Spans(list(found.values())[:best], min(part.null for part in parts))


def best_threshold(margins: Array, scores: Array, none: Array) -> float:
    """The threshold of the best mean score: a question whose margin is above it has no answer.

    Between two neighbouring margins the score is the same, so the middle of the widest best interval is taken. Without
    a question that has no answer it is infinite: each gets its best span.

    Args:
        margins: See `Spans.margin`, ``[questions]``.
        scores: What the best span of each scores, ``[questions]``.
        none: What no answer scores, ``[questions]``.
    """
    if not none.any():
        return float("inf")
    order = np.argsort(margins, kind="stable")
    sorted_ = margins[order]
    # with k answers given: the first k by margin
    totals = np.concatenate([[0.0], scores[order].cumsum()]) + np.concatenate([none[order][::-1].cumsum()[::-1], [0.0]])
    distinct = np.concatenate([[True], sorted_[1:] > sorted_[:-1], [True]])
    totals = np.where(distinct, totals, -np.inf)
    lower = np.concatenate([[sorted_[0] - 1.0], sorted_])
    upper = np.concatenate([sorted_, [sorted_[-1] + 1.0]])
    finite = np.isfinite(lower) & np.isfinite(upper)
    totals = np.where(finite, totals, -np.inf)
    best = np.flatnonzero(totals >= totals.max() - 1e-12)
    # beyond the least and the largest margin there is no interval to be the middle of
    widths = np.concatenate([[0.0], np.diff(sorted_), [0.0]])
    widest = best[int(np.argmax(widths[best]))]
    return float((lower[widest] + upper[widest]) / 2)


def curve(margins: Array, scores: Array, none: Array, points: int = 60) -> list[tuple[float, float]]:
    """The mean score over thresholds, for a picture.

    Args:
        margins: As in `best_threshold`, as the other two.
        scores: What the best span of each scores.
        none: What no answer scores.
        points: How many thresholds.
    """
    finite = margins[np.isfinite(margins)]
    if not len(finite):
        return []
    # margins themselves: between two of them nothing changes
    chosen = np.unique(np.quantile(finite, np.linspace(0, 1, points), method="nearest"))
    return [(float(t), float(np.where(margins > t, none, scores).mean())) for t in chosen]
