"""A text of the context for each question, or none."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks import squad
from transferlab.tasks.kinds.base import Answers, Array, OfSums, mean_of
from transferlab.tasks.spans import Spans
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

Lines = Sequence[Mapping[str, Any]]
OUTCOMES = ("an answer", "no answer")
"""What questions are counted by."""


class Questions(Answers):
    """The text of an answer, empty where there is none; a gold answer is a list of texts, empty where there is none."""

    metrics = ("f1", "exact_match")
    sums: ClassVar[Mapping[str, OfSums]] = {"f1": mean_of, "exact_match": mean_of}
    pipeline = "question-answering"
    named = False
    least = 2
    listed = "a list of answers"
    varied = False
    not_sampled = "its answers are no classes"

    def predicted(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[Any]:
        """The best span, or nothing where no answer is better by more than the threshold."""
        return [one["prediction"] for one in _answers(outputs)]

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, Any]) -> list[Any]:
        """The texts of all gold answers."""
        return list(map(list, outputs["golds"] if "golds" in outputs else outputs["passages"].golds))

    def told(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Characters, score, margin of no answer and the best answers of each question."""
        return [{key: value for key, value in one.items() if key != "prediction"} for one in _answers(outputs)]

    def parts(self, lines: Lines) -> dict[str, dict[str, float]]:
        """Scores of questions with and without an answer, and of the best of the n best answers."""
        if not lines or "label" not in lines[0]:
            return {}
        has = [line for line in lines if line["label"]]
        none = [line for line in lines if not line["label"]]
        groups = {"has an answer": has, "has no answer": none} if has and none else {}
        found = {name: _scored([(line["prediction"], line["label"]) for line in rows]) for name, rows in groups.items()}
        if has and all("n_best" in line for line in has):
            best = [
                [
                    max(column)
                    for column in zip(*[squad.scores(text, line["label"]) for text in _texts(line)], strict=True)
                ]
                for line in has
            ]
            most = max(len(line["n_best"]) for line in has)
            mean = np.mean(best, axis=0).tolist()
            found[f"best of {most}"] = {"exact_match": mean[0], "f1": mean[1], "questions": len(has)}
        return found

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all answers are the same though the right ones are not."""
        return len(set(map(tuple, gold))) > 1 and len(set(found)) == 1

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Questions, and their scores."""
        place = self.metrics.index(metric)
        scores = [squad.scores(answer, golds)[::-1][place] for answer, golds in zip(found, gold, strict=True)]
        return np.stack([np.ones(len(scores)), np.asarray(scores, dtype=float)], 1)


def answered(answer: str | Sequence[str]) -> str:
    """Which of `OUTCOMES` an answer is, or a list of gold ones."""
    return OUTCOMES[0 if answer else 1]


def _answers(outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "answers" in outputs:
        known: list[dict[str, Any]] = outputs["answers"]
        return known
    threshold = float(outputs["threshold"][0])
    pairs = zip(outputs["spans"], outputs["passages"].contexts, strict=True)
    return [answer_of(spans, context, threshold) for spans, context in pairs]


def answer_of(spans: Spans, context: str, threshold: float) -> dict[str, Any]:
    """What a record says of a question.

    Args:
        spans: Its best answers.
        context: What they stand in.
        threshold: The margin above which there is no answer.

    Returns:
        ``prediction`` (empty: no answer), ``start`` and ``end`` in characters (None without an answer), ``score`` (its
        share in the softmax over the best answers, and no answer where the task has such questions), ``margin`` (by
        how much no answer is better than the best one) and ``n_best``, the best answers with all of these.
    """
    logits = np.array([span.score for span in spans.best] + ([spans.null] if np.isfinite(threshold) else []))
    raised = np.exp(logits - logits.max()) if len(logits) else logits
    shares = [_digits(share) for share in raised / raised.sum()] if len(logits) else []
    best = [
        {"text": context[span.start : span.end], "start": span.start, "end": span.end, "score": share}
        for span, share in zip(spans.best, shares, strict=False)
    ]
    # as the metric compares them
    none = not best or bool(np.float32(spans.margin) > threshold)
    first = {"text": "", "start": None, "end": None, "score": shares[-1] if shares else 1.0} if none else best[0]
    margin = _digits(spans.margin) if np.isfinite(spans.margin) else None
    told = {"prediction": first["text"], "start": first["start"], "end": first["end"], "score": first["score"]}
    return told | {"margin": margin, "n_best": best}


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def _texts(line: Mapping[str, Any]) -> list[str]:
    return [one["text"] for one in line["n_best"]] or [""]


def _scored(pairs: Sequence[tuple[str, Sequence[str]]]) -> dict[str, float]:
    exact, f1 = np.mean([squad.scores(answer, golds) for answer, golds in pairs], axis=0).tolist()
    return {"exact_match": exact, "f1": f1, "questions": len(pairs)}
